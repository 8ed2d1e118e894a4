#include "model/model_config.h"

#include <array>
#include <string>
#include <utility>

#include "absl/status/status.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/string_view.h"
#include "base/file.h"
#include "base/status_macros.h"

namespace varalign::model {
namespace {

using base::Json;

constexpr int64_t kMaxDimension = int64_t{1} << 24;
constexpr uint64_t kMaxConfigBytes = 16 << 20;

absl::Status Refuse(absl::string_view key, absl::string_view reason) {
  return absl::InvalidArgumentError(
      absl::StrCat("config.json: ", key, " ", reason));
}

// The value of `key`, or null where it is missing or null.
const Json& Find(const Json& object, absl::string_view key) {
  static const Json kNull;
  if (!object.is_object()) return kNull;
  const auto found = object.find(std::string(key));
  return found == object.end() ? kNull : *found;
}

// A whole number in [1, kMaxDimension]; `fallback` where it is missing, unless
// that is 0: then the key is required.
absl::Status ReadDimension(const Json& config, absl::string_view key,
                           int64_t fallback, int64_t& value) {
  const Json& field = Find(config, key);
  value = fallback;
  if (field.is_null()) {
    return fallback > 0 ? absl::OkStatus() : Refuse(key, "is missing");
  }
  if (!field.is_number_integer()) return Refuse(key, "is not a whole number");
  value = field.is_number_unsigned() && field.get<uint64_t>() > kMaxDimension
              ? 0
              : field.get<int64_t>();
  if (value < 1 || value > kMaxDimension) {
    return Refuse(key,
                  absl::StrCat("is out of range: ", base::DumpJson(field)));
  }
  return absl::OkStatus();
}

absl::Status ReadPositive(const Json& config, absl::string_view key,
                          double& value) {
  const Json& field = Find(config, key);
  if (field.is_null()) return absl::OkStatus();
  if (!field.is_number() || !(field.get<double>() > 0)) {
    return Refuse(
        key, absl::StrCat("is not a positive number: ", base::DumpJson(field)));
  }
  value = field.get<double>();
  return absl::OkStatus();
}

absl::Status ReadFlag(const Json& config, absl::string_view key, bool& value) {
  const Json& field = Find(config, key);
  if (field.is_null()) return absl::OkStatus();
  if (!field.is_boolean()) return Refuse(key, "is neither true nor false");
  value = field.get<bool>();
  return absl::OkStatus();
}

// One label, as transformers counts them: num_labels, else the size of
// id2label, else two.
absl::Status CheckOneLabel(const Json& config) {
  const Json& count = Find(config, "num_labels");
  const Json& names = Find(config, "id2label");
  const bool one = count.is_number_integer()
                       ? count == 1
                       : names.is_object() && names.size() == 1;
  return one ? absl::OkStatus()
             : Refuse("num_labels",
                      "is not 1: a reward model has exactly one label");
}

absl::Status ReadHead(const Json& config, Head& head) {
  const Json& names = Find(config, "architectures");
  if (!names.is_array() || names.size() != 1 || !names[0].is_string()) {
    return Refuse("architectures", "must name one architecture");
  }
  const std::string name = names[0].get<std::string>();
  if (name == "LlamaForCausalLM") {
    head = Head::kCausalLm;
    return absl::OkStatus();
  }
  if (name == "LlamaForSequenceClassification") {
    head = Head::kReward;
    return CheckOneLabel(config);
  }
  return Refuse("architectures",
                absl::StrCat("is not supported; LlamaForCausalLM and "
                             "LlamaForSequenceClassification are: ",
                             name));
}

// Keys that would change numbers in ways this decoder does not know.
absl::Status RefuseUnsupported(const Json& config) {
  if (const Json& type = Find(config, "model_type"); type != "llama") {
    return Refuse("model_type", absl::StrCat("is not supported; llama is: ",
                                             base::DumpJson(type)));
  }
  if (const Json& act = Find(config, "hidden_act");
      !act.is_null() && act != "silu" && act != "swish") {
    return Refuse("hidden_act", absl::StrCat("is not supported; silu is: ",
                                             base::DumpJson(act)));
  }
  static constexpr std::array<absl::string_view, 9> kRefused = {
      "attention_bias",    "mlp_bias",
      "sliding_window",    "use_sliding_window",
      "num_local_experts", "num_experts",
      "n_routed_experts",  "quantization_config",
      "is_encoder_decoder"};
  for (const absl::string_view key : kRefused) {
    const Json& value = Find(config, key);
    if (!value.is_null() && value != false) {
      return Refuse(key, "is not supported: remove it or use another model");
    }
  }
  if (const Json& share = Find(config, "partial_rotary_factor");
      share.is_number() && share != 1.0) {
    return Refuse("partial_rotary_factor", "is not supported unless 1");
  }
  return absl::OkStatus();
}

absl::Status ReadLlama3Scaling(const Json& rope, ModelConfig& model) {
  Llama3RopeScaling scaling;
  RETURN_IF_ERROR(ReadPositive(rope, "factor", scaling.factor));
  RETURN_IF_ERROR(
      ReadPositive(rope, "low_freq_factor", scaling.low_freq_factor));
  RETURN_IF_ERROR(
      ReadPositive(rope, "high_freq_factor", scaling.high_freq_factor));
  RETURN_IF_ERROR(ReadPositive(rope, "original_max_position_embeddings",
                               scaling.original_max_positions));
  for (const absl::string_view key :
       {"factor", "low_freq_factor", "high_freq_factor",
        "original_max_position_embeddings"}) {
    if (Find(rope, key).is_null()) {
      return Refuse(key, "is missing: llama3 rope scaling needs it");
    }
  }
  if (scaling.high_freq_factor <= scaling.low_freq_factor) {
    return Refuse("high_freq_factor", "is not above low_freq_factor");
  }
  model.llama3_rope = scaling;
  return absl::OkStatus();
}

// transformers 5 has rope_parameters with rope_theta inside; older ones
// rope_theta beside rope_scaling.
absl::Status ReadRope(const Json& config, ModelConfig& model) {
  RETURN_IF_ERROR(ReadPositive(config, "rope_theta", model.rope_theta));
  const Json& newer = Find(config, "rope_parameters");
  const Json& rope = newer.is_null() ? Find(config, "rope_scaling") : newer;
  if (rope.is_null()) return absl::OkStatus();
  if (!rope.is_object()) return Refuse("rope_parameters", "is not an object");
  RETURN_IF_ERROR(ReadPositive(rope, "rope_theta", model.rope_theta));
  const Json& newer_type = Find(rope, "rope_type");
  const Json& type = newer_type.is_null() ? Find(rope, "type") : newer_type;
  if (type.is_null() || type == "default") return absl::OkStatus();
  if (type == "llama3") return ReadLlama3Scaling(rope, model);
  return Refuse("rope_type",
                absl::StrCat("is not supported; default and llama3 are: ",
                             base::DumpJson(type)));
}

absl::Status ReadDimensions(const Json& config, ModelConfig& model) {
  RETURN_IF_ERROR(ReadDimension(config, "hidden_size", 0, model.hidden_size));
  RETURN_IF_ERROR(
      ReadDimension(config, "intermediate_size", 0, model.intermediate_size));
  RETURN_IF_ERROR(
      ReadDimension(config, "num_hidden_layers", 0, model.num_layers));
  RETURN_IF_ERROR(
      ReadDimension(config, "num_attention_heads", 0, model.num_heads));
  RETURN_IF_ERROR(ReadDimension(config, "num_key_value_heads", model.num_heads,
                                model.num_kv_heads));
  RETURN_IF_ERROR(
      ReadDimension(config, "vocab_size", 0, model.vocabulary_size));
  RETURN_IF_ERROR(
      ReadDimension(config, "max_position_embeddings", 0, model.max_positions));
  if (model.num_heads % model.num_kv_heads != 0) {
    return Refuse("num_attention_heads",
                  "is not a multiple of num_key_value_heads");
  }
  const int64_t even_share = model.hidden_size / model.num_heads;
  RETURN_IF_ERROR(
      ReadDimension(config, "head_dim", even_share, model.head_dim));
  if (Find(config, "head_dim").is_null() &&
      model.hidden_size % model.num_heads != 0) {
    return Refuse("hidden_size", "is not a multiple of num_attention_heads");
  }
  if (model.head_dim % 2 != 0) return Refuse("head_dim", "is odd");
  return absl::OkStatus();
}

}  // namespace

absl::StatusOr<ModelConfig> ParseModelConfig(const Json& config) {
  if (!config.is_object()) {
    return absl::InvalidArgumentError("config.json: not a JSON object");
  }
  ModelConfig model;
  RETURN_IF_ERROR(RefuseUnsupported(config));
  RETURN_IF_ERROR(ReadHead(config, model.head));
  RETURN_IF_ERROR(ReadDimensions(config, model));
  RETURN_IF_ERROR(ReadPositive(config, "rms_norm_eps", model.rms_norm_eps));
  RETURN_IF_ERROR(ReadRope(config, model));
  RETURN_IF_ERROR(
      ReadFlag(config, "tie_word_embeddings", model.tie_word_embeddings));
  return model;
}

absl::StatusOr<ModelConfig> ReadModelConfig(
    const std::filesystem::path& directory) {
  const std::filesystem::path path = directory / "config.json";
  ASSIGN_OR_RETURN(const std::string text,
                   base::ReadFile(path, kMaxConfigBytes));
  const absl::StatusOr<Json> config = base::ParseJson(text);
  absl::StatusOr<ModelConfig> model =
      config.ok() ? ParseModelConfig(*config) : config.status();
  if (model.ok()) return model;
  return absl::Status(
      model.status().code(),
      absl::StrCat(model.status().message(), " (", path.string(), ")"));
}

}  // namespace varalign::model
