#include "checkpoint/model_fingerprint.h"

#include <algorithm>
#include <cstddef>
#include <map>
#include <span>
#include <string_view>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "base/digest.h"
#include "base/exit_code.h"
#include "base/json.h"
#include "base/status_macros.h"
#include "base/string_view.h"
#include "checkpoint/model_files.h"
#include "checkpoint/weight_files.h"

namespace varalign::checkpoint {
namespace {

using base::Json;
using base::SafetensorsFile;

// Sorted keys at every level.
Json Canonical(const Json& value) {
  if (value.is_array()) {
    Json result = Json::array();
    for (const Json& item : value) result.push_back(Canonical(item));
    return result;
  }
  if (!value.is_object()) return value;
  std::map<std::string, Json> sorted;
  for (const auto& [key, item] : value.items()) sorted[key] = Canonical(item);
  Json result = Json::object();
  for (auto& [key, item] : sorted) result[key] = std::move(item);
  return result;
}

// The configuration without what says nothing about the model's numbers.
std::string MeaningOf(Json config) {
  for (const char* key : {"_name_or_path", "transformers_version", "dtype",
                          "torch_dtype", "use_cache"}) {
    config.erase(key);
  }
  return base::DumpJson(Canonical(config));
}

std::string_view AsText(std::span<const std::byte> bytes) {
  return {reinterpret_cast<const char*>(bytes.data()), bytes.size()};
}

}  // namespace

absl::StatusOr<std::string> ModelFingerprint(
    const std::filesystem::path& directory) {
  ASSIGN_OR_RETURN(const Json config, ReadJsonObject(directory / kConfigName));
  ASSIGN_OR_RETURN(const std::vector<SafetensorsFile> files,
                   OpenWeightFiles(directory));
  std::vector<const base::TensorSpan*> spans;
  for (const SafetensorsFile& file : files) {
    for (const base::TensorSpan& span : file.tensors()) spans.push_back(&span);
  }
  std::sort(spans.begin(), spans.end(),
            [](const auto* a, const auto* b) { return a->name < b->name; });
  base::Sha256Stream digest;
  digest.UpdateField(MeaningOf(config));
  for (const base::TensorSpan* span : spans) {
    digest.UpdateField(span->name);
    digest.UpdateField(base::DtypeName(span->dtype));
    digest.UpdateField(base::DumpJson(Json(span->shape)));
    digest.UpdateField(AsText(span->bytes));
  }
  return digest.Finish();
}

absl::Status CheckFingerprint(const std::filesystem::path& directory,
                              std::string_view key,
                              std::string_view fingerprint,
                              std::string_view server) {
  ASSIGN_OR_RETURN(const std::string own, ModelFingerprint(directory));
  if (own == fingerprint) return absl::OkStatus();
  return base::WithExitCode(
      absl::FailedPreconditionError(absl::StrCat(
          base::ToAbsl(key), " is not the model that the reward server has: ",
          "start the server with this directory, or name the server's model ",
          "here; ", directory.string(), " has fingerprint ", own, ", ",
          base::ToAbsl(server), " serves ", base::ToAbsl(fingerprint))),
      base::kExitBadConfig);
}

}  // namespace varalign::checkpoint
