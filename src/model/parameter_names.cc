#include "model/parameter_names.h"

#include <ATen/ATen.h>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"

namespace varalign::model {
namespace {

RowRange Queries(const ModelConfig& c) {
  return {.begin = 0, .count = c.num_heads * c.head_dim};
}
RowRange Keys(const ModelConfig& c) {
  return {.begin = c.num_heads * c.head_dim,
          .count = c.num_kv_heads * c.head_dim};
}
RowRange Values(const ModelConfig& c) {
  return {.begin = (c.num_heads + c.num_kv_heads) * c.head_dim,
          .count = c.num_kv_heads * c.head_dim};
}
RowRange Gate(const ModelConfig& c) {
  return {.begin = 0, .count = c.intermediate_size};
}
RowRange Up(const ModelConfig& c) {
  return {.begin = c.intermediate_size, .count = c.intermediate_size};
}

#define VARALIGN_TENSOR(member) \
  [](LayerParameters& layer) -> at::Tensor& { return layer.member; }

constexpr LayerName kLayerNames[] = {
    {"input_layernorm.weight", VARALIGN_TENSOR(input_norm)},
    {"self_attn.q_proj.weight", VARALIGN_TENSOR(qkv.weight), Queries},
    {"self_attn.k_proj.weight", VARALIGN_TENSOR(qkv.weight), Keys},
    {"self_attn.v_proj.weight", VARALIGN_TENSOR(qkv.weight), Values},
    {"self_attn.q_proj.bias", VARALIGN_TENSOR(qkv.bias), Queries},
    {"self_attn.k_proj.bias", VARALIGN_TENSOR(qkv.bias), Keys},
    {"self_attn.v_proj.bias", VARALIGN_TENSOR(qkv.bias), Values},
    {"self_attn.q_norm.weight", VARALIGN_TENSOR(query_norm)},
    {"self_attn.k_norm.weight", VARALIGN_TENSOR(key_norm)},
    {"self_attn.o_proj.weight", VARALIGN_TENSOR(output.weight)},
    {"self_attn.o_proj.bias", VARALIGN_TENSOR(output.bias)},
    {"post_attention_layernorm.weight", VARALIGN_TENSOR(post_norm)},
    {"mlp.gate_proj.weight", VARALIGN_TENSOR(gate_up.weight), Gate},
    {"mlp.up_proj.weight", VARALIGN_TENSOR(gate_up.weight), Up},
    {"mlp.down_proj.weight", VARALIGN_TENSOR(down.weight)},
};

#undef VARALIGN_TENSOR

void AppendLayer(const ModelConfig& config, const std::string& prefix,
                 LayerParameters layer, std::vector<NamedTensor>& tensors) {
  for (const LayerName& row : kLayerNames) {
    const at::Tensor& whole = row.tensor(layer);
    if (!whole.defined()) continue;
    const at::Tensor tensor = whole.detach();
    const RowRange rows = row.rows != nullptr
                              ? row.rows(config)
                              : RowRange{.count = tensor.size(0)};
    tensors.emplace_back(absl::StrCat(prefix, row.name),
                         tensor.narrow(0, rows.begin, rows.count));
  }
}

}  // namespace

std::span<const LayerName> LayerNames() { return kLayerNames; }

bool HasTensor(const ModelConfig& config, absl::string_view layer_name) {
  if (absl::EndsWith(layer_name, ".bias")) {
    return absl::StrContains(layer_name, "o_proj") ? config.output_bias
                                                   : config.qkv_bias;
  }
  if (absl::StrContains(layer_name, "q_norm") ||
      absl::StrContains(layer_name, "k_norm")) {
    return config.qk_norm;
  }
  return true;
}

std::string LayerPrefix(size_t layer) {
  return absl::StrCat("model.layers.", layer, ".");
}

std::vector<NamedTensor> HuggingFaceTensors(const Parameters& parameters) {
  const ModelConfig& config = parameters.config;
  std::vector<NamedTensor> tensors;
  tensors.emplace_back(kEmbeddingName, parameters.embedding.detach());
  for (size_t i = 0; i < parameters.layers.size(); ++i) {
    AppendLayer(config, LayerPrefix(i), parameters.layers[i], tensors);
  }
  tensors.emplace_back(kFinalNormName, parameters.final_norm.detach());
  if (config.head == Head::kReward) {
    tensors.emplace_back(kScoreName, parameters.score.detach());
  } else if (!config.tie_word_embeddings) {
    tensors.emplace_back(kLmHeadName, parameters.lm_head.detach());
  }
  return tensors;
}

}  // namespace varalign::model
