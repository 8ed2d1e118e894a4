#include "model/model_config.h"

#include <string>
#include <utility>

#include "absl/status/status.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/string_view.h"
#include "base/file.h"
#include "base/status_macros.h"
#include "model/config_fields.h"
#include "model/family.h"

namespace varalign::model {
namespace {

using base::Json;

constexpr uint64_t kMaxConfigBytes = 16 << 20;

// One label, as transformers counts them: num_labels, else the size of
// id2label, else two.
absl::Status CheckOneLabel(const Json& config) {
  const Json& count = FindKey(config, "num_labels");
  const Json& names = FindKey(config, "id2label");
  const bool one = count.is_number_integer()
                       ? count == 1
                       : names.is_object() && names.size() == 1;
  return one ? absl::OkStatus()
             : RefuseKey("num_labels",
                         "is not 1: a reward model has exactly one label");
}

absl::Status ReadHead(const Json& config, const Family& family, Head& head) {
  const Json& names = FindKey(config, "architectures");
  if (!names.is_array() || names.size() != 1 || !names[0].is_string()) {
    return RefuseKey("architectures", "must name one architecture");
  }
  const std::string name = names[0].get<std::string>();
  const std::string causal = absl::StrCat(family.prefix, "ForCausalLM");
  const std::string classifier =
      absl::StrCat(family.prefix, "ForSequenceClassification");
  if (name == causal) {
    head = Head::kCausalLm;
    return absl::OkStatus();
  }
  if (name == classifier) {
    head = Head::kReward;
    return CheckOneLabel(config);
  }
  return RefuseKey("architectures",
                   absl::StrCat("is not supported, use ", causal, " or ",
                                classifier, ": ", name));
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
    if (FindKey(rope, key).is_null()) {
      return RefuseKey(key, "is missing: llama3 rope scaling needs it");
    }
  }
  if (scaling.high_freq_factor <= scaling.low_freq_factor) {
    return RefuseKey("high_freq_factor", "is not above low_freq_factor");
  }
  model.llama3_rope = scaling;
  return absl::OkStatus();
}

// Parts of a rope section that the types below do not have.
absl::Status RefuseRopeParts(const Json& config, const Json& rope) {
  if (const Json& share = FindKey(rope, "partial_rotary_factor");
      !share.is_null() && share != 1.0) {
    return RefuseKey("partial_rotary_factor",
                     "is not supported unless 1: use another model");
  }
  if (!FindKey(rope, "mrope_section").is_null()) {
    return RefuseKey("mrope_section",
                     "is not supported: use a text model of the family");
  }
  // transformers lets it override the one in the section.
  if (!FindKey(config, "original_max_position_embeddings").is_null()) {
    return RefuseKey(
        "original_max_position_embeddings",
        "is not supported beside the rope section: move it into that section");
  }
  for (const auto& [key, value] : rope.items()) {
    if (value.is_object()) {
      return RefuseKey(absl::StrCat("rope_parameters.", key),
                       "is not supported: layers must share one rope");
    }
  }
  return absl::OkStatus();
}

// transformers 5 has rope_parameters with rope_theta inside; older ones
// rope_theta beside rope_scaling.
absl::Status ReadRope(const Json& config, ModelConfig& model) {
  RETURN_IF_ERROR(ReadPositive(config, "rope_theta", model.rope_theta));
  const Json& newer = FindKey(config, "rope_parameters");
  const Json& rope = newer.is_null() ? FindKey(config, "rope_scaling") : newer;
  if (rope.is_null()) return absl::OkStatus();
  if (!rope.is_object()) {
    return RefuseKey("rope_parameters", "is not an object");
  }
  RETURN_IF_ERROR(ReadPositive(rope, "rope_theta", model.rope_theta));
  RETURN_IF_ERROR(RefuseRopeParts(config, rope));
  const Json& newer_type = FindKey(rope, "rope_type");
  const Json& type = newer_type.is_null() ? FindKey(rope, "type") : newer_type;
  if (type.is_null() || type == "default") return absl::OkStatus();
  if (type == "llama3") return ReadLlama3Scaling(rope, model);
  return RefuseKey(
      "rope_type",
      absl::StrCat("is not supported, default and llama3 are; where it was "
                   "added to lengthen the context, remove it and set "
                   "max_position_embeddings to the length before: ",
                   base::DumpJson(type)));
}

absl::Status ReadHeads(const Json& config, const Family& family,
                       ModelConfig& model) {
  RETURN_IF_ERROR(
      ReadDimension(config, "num_attention_heads", 0, model.num_heads));
  const bool kv_required = !family.kv_heads_may_be_missing &&
                           !config.contains("num_key_value_heads");
  RETURN_IF_ERROR(ReadDimension(config, "num_key_value_heads",
                                kv_required ? 0 : model.num_heads,
                                model.num_kv_heads));
  if (model.num_heads % model.num_kv_heads != 0) {
    return RefuseKey("num_attention_heads",
                     "is not a multiple of num_key_value_heads");
  }
  const bool divides = model.hidden_size % model.num_heads == 0;
  if (FindKey(config, "head_dim").is_null() && family.default_head_dim == 0 &&
      !divides) {
    return RefuseKey("hidden_size", "is not a multiple of num_attention_heads");
  }
  RETURN_IF_ERROR(ReadDimension(config, "head_dim",
                                family.default_head_dim > 0
                                    ? family.default_head_dim
                                    : model.hidden_size / model.num_heads,
                                model.head_dim));
  if (model.head_dim % 2 != 0) return RefuseKey("head_dim", "is odd");
  return absl::OkStatus();
}

absl::Status ReadDimensions(const Json& config, const Family& family,
                            ModelConfig& model) {
  RETURN_IF_ERROR(ReadDimension(config, "hidden_size", 0, model.hidden_size));
  RETURN_IF_ERROR(
      ReadDimension(config, "intermediate_size", 0, model.intermediate_size));
  RETURN_IF_ERROR(
      ReadDimension(config, "num_hidden_layers", 0, model.num_layers));
  RETURN_IF_ERROR(
      ReadDimension(config, "vocab_size", 0, model.vocabulary_size));
  RETURN_IF_ERROR(
      ReadDimension(config, "max_position_embeddings", 0, model.max_positions));
  return ReadHeads(config, family, model);
}

absl::Status ReadParts(const Json& config, const Family& family,
                       ModelConfig& model) {
  bool attention_bias = false;
  RETURN_IF_ERROR(ReadFlag(config, "attention_bias", attention_bias));
  model.qkv_bias = family.qkv_bias || attention_bias;
  model.output_bias = attention_bias;
  model.qk_norm = family.qk_norm;
  return ReadFlag(config, "tie_word_embeddings", model.tie_word_embeddings);
}

}  // namespace

absl::StatusOr<ModelConfig> ParseModelConfig(const Json& config) {
  if (!config.is_object()) {
    return absl::InvalidArgumentError("config.json: not a JSON object");
  }
  ModelConfig model;
  ASSIGN_OR_RETURN(const Family* family, FindFamily(config));
  RETURN_IF_ERROR(RefuseUnsupported(config, *family));
  RETURN_IF_ERROR(ReadHead(config, *family, model.head));
  RETURN_IF_ERROR(ReadDimensions(config, *family, model));
  RETURN_IF_ERROR(ReadParts(config, *family, model));
  RETURN_IF_ERROR(ReadPositive(config, "rms_norm_eps", model.rms_norm_eps));
  RETURN_IF_ERROR(ReadRope(config, model));
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

absl::StatusOr<ModelConfig> ReadModelConfig(
    const std::filesystem::path& directory, Head head) {
  ASSIGN_OR_RETURN(ModelConfig config, ReadModelConfig(directory));
  if (config.head != head) {
    return absl::InvalidArgumentError(absl::StrCat(
        head == Head::kReward
            ? "not a reward model: config.json names no sequence classifier"
            : "not a language model: config.json names a sequence classifier",
        " (", (directory / "config.json").string(), ")"));
  }
  return config;
}

}  // namespace varalign::model
