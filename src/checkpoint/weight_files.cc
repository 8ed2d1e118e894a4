#include "checkpoint/weight_files.h"

#include <map>
#include <set>
#include <string>
#include <utility>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "base/json.h"
#include "base/status_macros.h"
#include "checkpoint/model_files.h"

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

}  // namespace

absl::StatusOr<std::vector<SafetensorsFile>> OpenWeightFiles(
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

}  // namespace varalign::checkpoint
