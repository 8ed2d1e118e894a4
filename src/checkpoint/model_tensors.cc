// The reading half of checkpoint/model_directory.h.
#include <algorithm>
#include <map>
#include <set>
#include <string_view>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "base/digest.h"
#include "base/status_macros.h"
#include "checkpoint/model_directory.h"
#include "checkpoint/model_files.h"
#include "checkpoint/tensor_bytes.h"

namespace varalign::checkpoint {
namespace {

using base::Json;
using base::SafetensorsFile;
using Directory = std::filesystem::path;

// Tensor name to shard file.
using WeightMap = std::map<std::string, std::string>;

absl::Status BadIndex(const Directory& directory, const std::string& why) {
  return absl::InvalidArgumentError(
      absl::StrCat(why, " (", (directory / kIndexName).string(), ")"));
}

// A plain file name: a path would leave the directory.
bool IsShardName(const std::string& name) {
  return absl::EndsWith(name, ".safetensors") &&
         name.find('/') == std::string::npos && name[0] != '.';
}

absl::StatusOr<WeightMap> ReadWeightMap(const Directory& directory) {
  ASSIGN_OR_RETURN(const Json index, ReadJsonObject(directory / kIndexName));
  const auto entries = index.find("weight_map");
  if (entries == index.end() || !entries->is_object() || entries->empty()) {
    return BadIndex(directory, "weight_map is missing or empty");
  }
  WeightMap map;
  for (const auto& [name, file] : entries->items()) {
    if (!file.is_string() || !IsShardName(file.get<std::string>())) {
      return BadIndex(directory, absl::StrCat("shard is not a file name of "
                                              "this directory: ",
                                              base::DumpJson(file)));
    }
    map.emplace(name, file.get<std::string>());
  }
  return map;
}

// Every tensor of the shard stands in the index with this file; removes those
// from `missing`.
absl::Status CheckShard(const Directory& directory, const std::string& shard,
                        const SafetensorsFile& file, WeightMap& missing) {
  for (const base::TensorSpan& span : file.tensors()) {
    const auto found = missing.find(span.name);
    if (found == missing.end() || found->second != shard) {
      return BadIndex(directory,
                      absl::StrCat("index does not place tensor ", span.name,
                                   " in ", shard, ", which holds it"));
    }
    missing.erase(found);
  }
  return absl::OkStatus();
}

absl::StatusOr<std::vector<SafetensorsFile>> OpenShards(
    const Directory& directory) {
  ASSIGN_OR_RETURN(WeightMap missing, ReadWeightMap(directory));
  std::set<std::string> shards;
  for (const auto& [name, shard] : missing) shards.insert(shard);
  std::vector<SafetensorsFile> files;
  for (const std::string& shard : shards) {
    ASSIGN_OR_RETURN(SafetensorsFile file,
                     SafetensorsFile::Open(directory / shard));
    RETURN_IF_ERROR(CheckShard(directory, shard, file, missing));
    files.push_back(std::move(file));
  }
  if (!missing.empty()) {
    const auto& [name, shard] = *missing.begin();
    return BadIndex(directory,
                    absl::StrCat("index places tensor ", name, " in ", shard,
                                 ", which does not hold it"));
  }
  return files;
}

absl::StatusOr<std::vector<SafetensorsFile>> OpenFiles(
    const Directory& directory) {
  std::error_code error;
  if (std::filesystem::exists(directory / kSingleFileName, error)) {
    std::vector<SafetensorsFile> files;
    ASSIGN_OR_RETURN(SafetensorsFile file,
                     SafetensorsFile::Open(directory / kSingleFileName));
    files.push_back(std::move(file));
    return files;
  }
  if (std::filesystem::exists(directory / kIndexName, error)) {
    return OpenShards(directory);
  }
  return absl::NotFoundError(absl::StrCat(
      "no model weights: neither ", kSingleFileName, " nor ", kIndexName,
      " (only safetensors is read) in ", directory.string()));
}

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

absl::StatusOr<ModelTensors> ModelTensors::Open(const Directory& directory) {
  ModelTensors result;
  ASSIGN_OR_RETURN(result.files_, OpenFiles(directory));
  for (const SafetensorsFile& file : result.files_) {
    for (const base::TensorSpan& span : file.tensors()) {
      result.tensors_.emplace_back(span.name, ViewSpan(span));
    }
  }
  return result;
}

absl::StatusOr<std::string> ModelFingerprint(const Directory& directory) {
  ASSIGN_OR_RETURN(const Json config, ReadJsonObject(directory / kConfigName));
  ASSIGN_OR_RETURN(const std::vector<SafetensorsFile> files,
                   OpenFiles(directory));
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

}  // namespace varalign::checkpoint
