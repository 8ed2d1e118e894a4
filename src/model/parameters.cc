#include "model/parameters.h"

#include <ATen/ATen.h>
#include <ATen/CPUGeneratorImpl.h>
#include <c10/core/GradMode.h>

#include <algorithm>
#include <functional>
#include <initializer_list>

#include "absl/container/flat_hash_map.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "absl/strings/string_view.h"

namespace varalign::model {
namespace {

constexpr char kEmbeddingName[] = "model.embed_tokens.weight";
constexpr char kLmHeadName[] = "lm_head.weight";

using Shape = std::vector<int64_t>;

// Calls `visit` with every tensor of `parameters` and its shape, in the order
// in which they stand in the flat buffer.
void VisitTensors(Parameters& parameters,
                  const std::function<void(at::Tensor&, Shape)>& visit) {
  const ModelConfig& c = parameters.config;
  const int64_t queries = c.num_heads * c.head_dim;
  const int64_t all_heads = (c.num_heads + 2 * c.num_kv_heads) * c.head_dim;
  visit(parameters.embedding, {c.vocabulary_size, c.hidden_size});
  for (LayerParameters& layer : parameters.layers) {
    visit(layer.input_norm, {c.hidden_size});
    visit(layer.qkv, {all_heads, c.hidden_size});
    visit(layer.output, {c.hidden_size, queries});
    visit(layer.post_norm, {c.hidden_size});
    visit(layer.gate_up, {2 * c.intermediate_size, c.hidden_size});
    visit(layer.down, {c.hidden_size, c.intermediate_size});
  }
  visit(parameters.final_norm, {c.hidden_size});
  if (c.head == Head::kReward) {
    visit(parameters.score, {1, c.hidden_size});
  } else if (!c.tie_word_embeddings) {
    visit(parameters.lm_head, {c.vocabulary_size, c.hidden_size});
  }
}

int64_t NumElements(const Shape& shape) {
  int64_t count = 1;
  for (const int64_t extent : shape) count *= extent;
  return count;
}

void TieHead(Parameters& parameters) {
  const ModelConfig& config = parameters.config;
  if (config.head == Head::kCausalLm && config.tie_word_embeddings) {
    parameters.lm_head = parameters.embedding;
  }
}

void AddDecayed(int64_t begin, int64_t end, Parameters& parameters) {
  auto& ranges = parameters.decayed;
  if (!ranges.empty() && ranges.back().second == begin) {
    ranges.back().second = end;
  } else {
    ranges.emplace_back(begin, end);
  }
}

void AppendLayer(const ModelConfig& c, const std::string& prefix,
                 const LayerParameters& layer,
                 std::vector<NamedTensor>& tensors) {
  const int64_t queries = c.num_heads * c.head_dim;
  const int64_t keys = c.num_kv_heads * c.head_dim;
  const auto add = [&](absl::string_view name, const at::Tensor& tensor) {
    tensors.emplace_back(absl::StrCat(prefix, name, ".weight"), tensor);
  };
  const at::Tensor qkv = layer.qkv.detach();
  const at::Tensor gate_up = layer.gate_up.detach();
  const int64_t inner = c.intermediate_size;
  add("input_layernorm", layer.input_norm.detach());
  add("self_attn.q_proj", qkv.narrow(0, 0, queries));
  add("self_attn.k_proj", qkv.narrow(0, queries, keys));
  add("self_attn.v_proj", qkv.narrow(0, queries + keys, keys));
  add("self_attn.o_proj", layer.output.detach());
  add("post_attention_layernorm", layer.post_norm.detach());
  add("mlp.gate_proj", gate_up.narrow(0, 0, inner));
  add("mlp.up_proj", gate_up.narrow(0, inner, inner));
  add("mlp.down_proj", layer.down.detach());
}

absl::Status CopyInto(const NamedTensor& source, const at::Tensor& target) {
  const auto& [name, tensor] = source;
  if (tensor.sizes() != target.sizes()) {
    return absl::InvalidArgumentError(
        absl::StrCat("tensor has another shape than config.json says: ", name,
                     " [", absl::StrJoin(tensor.sizes(), ", "), "], expected [",
                     absl::StrJoin(target.sizes(), ", "), "]"));
  }
  if (!tensor.is_floating_point()) {
    return absl::InvalidArgumentError(absl::StrCat(
        "tensor is not floating point (a quantised model?): ", name));
  }
  target.copy_(tensor);
  return absl::OkStatus();
}

// True where a file may hold the tensor although no parameter has its name.
bool IsIgnored(absl::string_view name, const ModelConfig& config) {
  return absl::EndsWith(name, "rotary_emb.inv_freq") ||
         (name == kLmHeadName && config.head == Head::kCausalLm &&
          config.tie_word_embeddings);
}

}  // namespace

Parameters MakeParameters(const ModelConfig& config, at::ScalarType dtype) {
  Parameters parameters;
  parameters.config = config;
  parameters.layers.resize(static_cast<size_t>(config.num_layers));
  int64_t total = 0;
  VisitTensors(parameters, [&](at::Tensor&, Shape shape) {
    const int64_t end = total + NumElements(shape);
    if (shape.size() > 1) AddDecayed(total, end, parameters);
    total = end;
  });
  const int64_t padded =
      (total + kFlatMultiple - 1) / kFlatMultiple * kFlatMultiple;
  parameters.flat = at::zeros({padded}, at::TensorOptions().dtype(dtype));
  parameters.num_parameters = total;
  int64_t offset = 0;
  VisitTensors(parameters, [&](at::Tensor& tensor, Shape shape) {
    const int64_t count = NumElements(shape);
    tensor = parameters.flat.narrow(0, offset, count).view(shape);
    offset += count;
  });
  TieHead(parameters);
  return parameters;
}

std::vector<NamedTensor> HuggingFaceTensors(const Parameters& parameters) {
  const ModelConfig& config = parameters.config;
  std::vector<NamedTensor> tensors;
  tensors.emplace_back(kEmbeddingName, parameters.embedding.detach());
  for (size_t i = 0; i < parameters.layers.size(); ++i) {
    AppendLayer(config, absl::StrCat("model.layers.", i, "."),
                parameters.layers[i], tensors);
  }
  tensors.emplace_back("model.norm.weight", parameters.final_norm.detach());
  if (config.head == Head::kReward) {
    tensors.emplace_back("score.weight", parameters.score.detach());
  } else if (!config.tie_word_embeddings) {
    tensors.emplace_back(kLmHeadName, parameters.lm_head.detach());
  }
  return tensors;
}

absl::Status LoadTensors(std::span<const NamedTensor> tensors,
                         Parameters& parameters) {
  const c10::NoGradGuard no_grad;
  absl::flat_hash_map<std::string, at::Tensor> missing;
  for (auto& [name, target] : HuggingFaceTensors(parameters)) {
    missing.emplace(name, target);
  }
  const NamedTensor* spare_head = nullptr;
  for (const NamedTensor& source : tensors) {
    const auto found = missing.find(source.first);
    if (found != missing.end()) {
      if (absl::Status status = CopyInto(source, found->second); !status.ok()) {
        return status;
      }
      missing.erase(found);
    } else if (IsIgnored(source.first, parameters.config)) {
      if (source.first == kLmHeadName) spare_head = &source;
    } else {
      return absl::InvalidArgumentError(
          absl::StrCat("tensor is unknown or appears twice: ", source.first));
    }
  }
  if (spare_head != nullptr && missing.erase(kEmbeddingName) > 0) {
    if (absl::Status status = CopyInto(*spare_head, parameters.embedding);
        !status.ok()) {
      return status;
    }
  }
  if (missing.empty()) return absl::OkStatus();
  std::string first = missing.begin()->first;
  for (const auto& [name, target] : missing) first = std::min(first, name);
  return absl::InvalidArgumentError(absl::StrCat(
      missing.size(), " tensors are missing, the first is ", first));
}

void InitializeRandomly(uint64_t seed, Parameters& parameters) {
  const c10::NoGradGuard no_grad;
  at::Generator generator = at::make_generator<at::CPUGeneratorImpl>(seed);
  VisitTensors(parameters, [&](at::Tensor& tensor, const Shape& shape) {
    if (shape.size() > 1) {
      tensor.detach().normal_(0, 0.02, generator);
    } else {
      tensor.detach().fill_(1);
    }
  });
}

void EnableGradients(Parameters& parameters) {
  parameters.gradients = at::zeros_like(parameters.flat);
  int64_t offset = 0;
  VisitTensors(parameters, [&](at::Tensor& tensor, Shape shape) {
    const int64_t count = NumElements(shape);
    tensor = tensor.detach().requires_grad_();
    tensor.mutable_grad() =
        parameters.gradients.narrow(0, offset, count).view(shape);
    offset += count;
  });
  TieHead(parameters);
}

}  // namespace varalign::model
