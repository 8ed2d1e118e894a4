#include "model/family.h"

#include <algorithm>
#include <array>
#include <string>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "base/status_macros.h"
#include "model/config_fields.h"

namespace varalign::model {
namespace {

using base::Json;

constexpr std::array<Family, 4> kFamilies = {{
    {.model_type = "llama",
     .prefix = "Llama",
     .reads_attention_bias = true,
     .qkv_bias = false,
     .qk_norm = false,
     .kv_heads_may_be_missing = true,
     .default_head_dim = 0,
     .window_has_a_switch = false,
     .default_window = 0},
    {.model_type = "mistral",
     .prefix = "Mistral",
     .reads_attention_bias = false,
     .qkv_bias = false,
     .qk_norm = false,
     .kv_heads_may_be_missing = false,
     .default_head_dim = 0,
     .window_has_a_switch = false,
     .default_window = 4096},
    {.model_type = "qwen2",
     .prefix = "Qwen2",
     .reads_attention_bias = false,
     .qkv_bias = true,
     .qk_norm = false,
     .kv_heads_may_be_missing = false,
     .default_head_dim = 0,
     .window_has_a_switch = true,
     .default_window = 4096},
    {.model_type = "qwen3",
     .prefix = "Qwen3",
     .reads_attention_bias = true,
     .qkv_bias = false,
     .qk_norm = true,
     .kv_heads_may_be_missing = false,
     .default_head_dim = 128,
     .window_has_a_switch = true,
     .default_window = 4096},
}};

constexpr absl::string_view kDense =
    "is not supported: use a dense model of the family";
constexpr absl::string_view kOtherDecoder =
    "is not supported: the architecture differs from its model_type, use a "
    "model without it";

// A key that is refused unless it is missing, null, false or `off`.
struct RefusedKey {
  absl::string_view key;
  absl::string_view remedy;
  double off = 0;
};

constexpr RefusedKey kRefusedKeys[] = {
    {"quantization_config",
     "is not supported: use the checkpoint that was quantised"},
    {"compression_config",
     "is not supported: use the checkpoint that was compressed"},
    {"num_local_experts", kDense},
    {"num_experts", kDense},
    {"num_experts_per_tok", kDense},
    {"n_routed_experts", kDense},
    {"moe_intermediate_size", kDense},
    {"kv_lora_rank", kOtherDecoder},
    {"q_lora_rank", kOtherDecoder},
    {"is_encoder_decoder", "is not supported: use a decoder"},
    {"add_cross_attention", "is not supported: use a plain decoder"},
    {"mlp_bias", "is not supported: use a model without it"},
    {"attention_dropout", "is not supported: set it to 0"},
    {"use_qk_norm", kOtherDecoder},
    {"qk_layernorm", kOtherDecoder},
    {"attn_logit_softcapping", kOtherDecoder},
    {"final_logit_softcapping", kOtherDecoder},
    {"query_pre_attn_scalar", kOtherDecoder},
    {"attention_chunk_size", kOtherDecoder},
    {"attn_temperature_tuning", kOtherDecoder},
    {"no_rope_layers", kOtherDecoder},
    {"no_rope_layer_interval", kOtherDecoder},
    {"logit_scale", kOtherDecoder, 1},
    {"logits_scaling", kOtherDecoder, 1},
    {"embedding_multiplier", kOtherDecoder, 1},
    {"residual_multiplier", kOtherDecoder, 1},
    {"attention_multiplier", kOtherDecoder},
    {"scale_emb", kOtherDecoder, 1},
    {"scale_depth", kOtherDecoder},
    {"dim_model_base", kOtherDecoder},
    {"partial_rotary_factor", kOtherDecoder, 1},
    {"rotary_pct", kOtherDecoder, 1},
    {"rotary_dim", kOtherDecoder},
};

bool IsOff(const Json& value, double off) {
  return value.is_null() || value == false ||
         (value.is_number() && value.get<double>() == off);
}

absl::Status RefuseActivations(const Json& config) {
  for (const absl::string_view key : {"hidden_act", "hidden_activation"}) {
    const Json& value = FindKey(config, key);
    if (!value.is_null() && value != "silu" && value != "swish") {
      return RefuseKey(key,
                       absl::StrCat("is not supported, use a model with silu: ",
                                    base::DumpJson(value)));
    }
  }
  return absl::OkStatus();
}

// A window as long as the longest row hides nothing and is no window.
absl::Status RefuseWindow(const Json& config, const Family& family) {
  if (family.window_has_a_switch) {
    bool used = false;
    RETURN_IF_ERROR(ReadFlag(config, "use_sliding_window", used));
    if (!used) return absl::OkStatus();
  }
  int64_t window = family.default_window;
  if (config.contains("sliding_window") &&
      FindKey(config, "sliding_window").is_null()) {
    return absl::OkStatus();
  }
  if (window > 0 || config.contains("sliding_window")) {
    RETURN_IF_ERROR(ReadDimension(config, "sliding_window", window, window));
  }
  int64_t positions = 0;
  RETURN_IF_ERROR(
      ReadDimension(config, "max_position_embeddings", 0, positions));
  if (window == 0 || window >= positions) return absl::OkStatus();
  return RefuseKey(
      "sliding_window",
      absl::StrCat("is not supported: set it to null and "
                   "max_position_embeddings to ",
                   window,
                   ", rows no longer than the window have the same numbers"));
}

absl::Status RefuseLayerTypes(const Json& config) {
  const Json& types = FindKey(config, "layer_types");
  if (types.is_null()) return absl::OkStatus();
  const bool plain =
      types.is_array() && std::ranges::all_of(types, [](const Json& type) {
        return type == "full_attention";
      });
  if (plain) return absl::OkStatus();
  return RefuseKey("layer_types",
                   "is not supported unless all are full_attention: use a "
                   "model without sliding or linear attention");
}

// `attention_bias` where transformers' class of the family ignores it.
absl::Status RefuseForeignBias(const Json& config, const Family& family) {
  bool bias = false;
  RETURN_IF_ERROR(ReadFlag(config, "attention_bias", bias));
  if (!bias || family.reads_attention_bias) return absl::OkStatus();
  return RefuseKey("attention_bias",
                   absl::StrCat("is no option of ", family.model_type,
                                ": set it to false if the files hold no "
                                "such biases"));
}

}  // namespace

absl::StatusOr<const Family*> FindFamily(const Json& config) {
  const Json& type = FindKey(config, "model_type");
  for (const Family& family : kFamilies) {
    if (type == std::string(family.model_type)) return &family;
  }
  const auto name = [](std::string* out, const Family& family) {
    absl::StrAppend(out, family.model_type);
  };
  return RefuseKey("model_type",
                   absl::StrCat("is not supported, use one of ",
                                absl::StrJoin(kFamilies, ", ", name), ": ",
                                base::DumpJson(type)));
}

absl::Status RefuseUnsupported(const Json& config, const Family& family) {
  for (const RefusedKey& refused : kRefusedKeys) {
    const Json& value = FindKey(config, refused.key);
    if (!IsOff(value, refused.off)) {
      return RefuseKey(refused.key, absl::StrCat(refused.remedy, ": ",
                                                 base::DumpJson(value)));
    }
  }
  RETURN_IF_ERROR(RefuseActivations(config));
  RETURN_IF_ERROR(RefuseLayerTypes(config));
  RETURN_IF_ERROR(RefuseForeignBias(config, family));
  return RefuseWindow(config, family);
}

}  // namespace varalign::model
