#include "checkpoint/adapter_config.h"

#include <algorithm>
#include <cmath>
#include <initializer_list>
#include <iterator>

#include "absl/status/status.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/string_view.h"
#include "base/adapter_modules.h"
#include "base/json.h"
#include "base/status_macros.h"
#include "checkpoint/model_files.h"

namespace varalign::checkpoint {
namespace {

using base::Json;

// Keys that are read, or say nothing about the numbers. Any other must be off.
constexpr absl::string_view kKnownKeys[] = {
    "peft_type",
    "task_type",
    "r",
    "lora_alpha",
    "target_modules",
    "bias",
    "init_lora_weights",
    "lora_dropout",
    "base_model_name_or_path",
    "revision",
    "inference_mode",
    "peft_version",
    "auto_mapping",
    "megatron_core",
    // Of kinds of adapter that other keys switch on.
    "qalora_group_size",
    "runtime_config",
};

absl::Status Refuse(absl::string_view key, absl::string_view reason,
                    const Json& value) {
  return absl::InvalidArgumentError(absl::StrCat(
      kAdapterConfigName, ": ", key, " ", reason, ": ", base::DumpJson(value)));
}

const Json& Find(const Json& config, const char* key) {
  static const Json* const kNull = new Json();
  const auto found = config.find(key);
  return found == config.end() ? *kNull : *found;
}

// Null, false, an empty text or list, or a section of such. A number is none: 0
// may be the first layer.
bool IsOff(const Json& value) {
  if (value.is_object()) return std::all_of(value.begin(), value.end(), IsOff);
  return value.is_null() || value == false ||
         (value.is_array() && value.empty()) ||
         (value.is_string() && value.get_ref<const std::string&>().empty());
}

absl::Status RefuseUnknown(const Json& config) {
  for (const auto& [key, value] : config.items()) {
    const bool known =
        std::any_of(std::begin(kKnownKeys), std::end(kKnownKeys),
                    [&key = key](absl::string_view one) { return one == key; });
    if (known || IsOff(value)) continue;
    return Refuse(key,
                  "is not supported: use an adapter that was trained without "
                  "it",
                  value);
  }
  return absl::OkStatus();
}

// `key` is missing, null or one of `words`.
absl::Status Expect(const Json& config, const char* key,
                    std::initializer_list<Json> words) {
  const Json& value = Find(config, key);
  if (value.is_null() ||
      std::find(words.begin(), words.end(), value) != words.end()) {
    return absl::OkStatus();
  }
  return Refuse(key, "is not supported: use a plain LoRA adapter", value);
}

// Of all-linear PEFT makes every module's path, such as
// model.layers.0.self_attn.q_proj. Layers that are not among them show in the
// tensors, which then lack theirs.
std::string LastOf(const std::string& path) {
  return path.substr(path.rfind('.') + 1);
}

absl::StatusOr<std::vector<std::string>> ReadModules(const Json& config) {
  const Json& value = Find(config, "target_modules");
  std::string names;
  if (value == std::string(base::kAllLinear)) {
    names = base::kAllLinear;
  } else if (value.is_array() && !value.empty()) {
    for (const Json& name : value) {
      if (!name.is_string()) {
        return Refuse("target_modules", "must be names", value);
      }
      absl::StrAppend(&names, names.empty() ? "" : ",",
                      LastOf(name.get<std::string>()));
    }
  } else {
    return Refuse("target_modules",
                  "must be a list of names or all-linear (a pattern is not "
                  "read)",
                  value);
  }
  absl::StatusOr<std::vector<std::string>> modules =
      base::ParseAdapterModules(names);
  if (modules.ok()) return modules;
  return absl::InvalidArgumentError(absl::StrCat(
      kAdapterConfigName, ": target_modules: ", modules.status().message()));
}

absl::StatusOr<AdapterConfig> ReadConfig(const Json& json) {
  if (Find(json, "peft_type") != "LORA") {
    return Refuse("peft_type", "is not supported: use a LORA adapter",
                  Find(json, "peft_type"));
  }
  RETURN_IF_ERROR(Expect(json, "task_type", {"CAUSAL_LM"}));
  RETURN_IF_ERROR(Expect(json, "bias", {"none"}));
  // Other words say that the model's own matrices were changed as well.
  RETURN_IF_ERROR(Expect(json, "init_lora_weights",
                         {true, false, "gaussian", "orthogonal"}));
  RETURN_IF_ERROR(RefuseUnknown(json));
  AdapterConfig config;
  const Json& rank = Find(json, "r");
  if (!rank.is_number_integer() || rank < 1 || rank > (1 << 20)) {
    return Refuse("r", "must be a whole number above 0", rank);
  }
  config.rank = rank.get<int64_t>();
  const Json& alpha = Find(json, "lora_alpha");
  if (!alpha.is_number() || !(alpha.get<double>() > 0) ||
      !std::isfinite(alpha.get<double>())) {
    return Refuse("lora_alpha", "must be a number above 0", alpha);
  }
  config.alpha = alpha.get<double>();
  ASSIGN_OR_RETURN(config.modules, ReadModules(json));
  const Json& base_model = Find(json, "base_model_name_or_path");
  if (base_model.is_string()) {
    config.base_model = base_model.get<std::string>();
  }
  return config;
}

}  // namespace

absl::StatusOr<AdapterConfig> ReadAdapterConfig(
    const std::filesystem::path& directory) {
  ASSIGN_OR_RETURN(const Json json,
                   ReadJsonObject(directory / kAdapterConfigName));
  absl::StatusOr<AdapterConfig> config = ReadConfig(json);
  if (config.ok()) return config;
  return absl::Status(
      config.status().code(),
      absl::StrCat(config.status().message(), " (", directory.string(), ")"));
}

}  // namespace varalign::checkpoint
