#include "checkpoint/weight_files.h"

#include <cstdint>
#include <set>
#include <string>
#include <utility>

#include "absl/strings/str_cat.h"
#include "base/name_list.h"
#include "base/status_macros.h"
#include "checkpoint/model_files.h"
#include "checkpoint/model_index.h"

namespace varalign::checkpoint {
namespace {

using base::SafetensorsFile;
using Directory = std::filesystem::path;

std::set<std::string> ShardNames(const ModelIndex& index) {
  std::set<std::string> shards;
  for (const auto& [name, shard] : index.shard_of) shards.insert(shard);
  return shards;
}

absl::Status CheckFilesAreThere(const Directory& directory,
                                const std::set<std::string>& shards) {
  std::vector<std::string> missing;
  std::error_code error;
  for (const std::string& shard : shards) {
    if (!std::filesystem::exists(directory / shard, error)) {
      missing.push_back(shard);
    }
  }
  if (missing.empty()) return absl::OkStatus();
  return absl::NotFoundError(absl::StrCat(
      "shards that the index names are missing, finish the download: ",
      base::ListNames(std::move(missing)), " (in ", directory.string(), ")"));
}

// Whether index and shards say the same: each shard is added, then Finish tells
// all differences at once.
class Agreement {
 public:
  explicit Agreement(ModelIndex index) : index_(std::move(index)) {}

  void Add(const std::string& shard, const SafetensorsFile& file) {
    for (const base::TensorSpan& span : file.tensors()) {
      total_bytes_ += span.bytes.size();
      const auto found = index_.shard_of.find(span.name);
      if (found == index_.shard_of.end() || found->second != shard) {
        unplaced_.push_back(absl::StrCat(span.name, " of ", shard));
      } else {
        index_.shard_of.erase(found);
      }
    }
  }

  // InvalidArgument where they differ.
  absl::Status Finish(const Directory& directory) {
    std::string text;
    if (!unplaced_.empty()) {
      absl::StrAppend(&text, " index lacks ",
                      base::ListNames(std::move(unplaced_)), ";");
    }
    std::vector<std::string> absent;
    for (const auto& [name, shard] : index_.shard_of) {
      absent.push_back(absl::StrCat(name, " of ", shard));
    }
    if (!absent.empty()) {
      absl::StrAppend(&text, " shards lack ",
                      base::ListNames(std::move(absent)), ";");
    }
    if (text.empty() &&
        index_.total_bytes.value_or(total_bytes_) != total_bytes_) {
      absl::StrAppend(&text, " total_size is ", *index_.total_bytes,
                      ", the tensors have ", total_bytes_, " bytes;");
    }
    if (text.empty()) return absl::OkStatus();
    return absl::InvalidArgumentError(absl::StrCat(
        "index and shards disagree, use the files of one model:", text, " (",
        (directory / kIndexName).string(), ")"));
  }

 private:
  ModelIndex index_;  // loses what was found
  uint64_t total_bytes_ = 0;
  std::vector<std::string> unplaced_;
};

absl::StatusOr<std::vector<SafetensorsFile>> OpenShards(
    const Directory& directory) {
  ASSIGN_OR_RETURN(ModelIndex index, ReadModelIndex(directory));
  const std::set<std::string> shards = ShardNames(index);
  RETURN_IF_ERROR(CheckFilesAreThere(directory, shards));
  Agreement agreement(std::move(index));
  std::vector<SafetensorsFile> files;
  for (const std::string& shard : shards) {
    ASSIGN_OR_RETURN(SafetensorsFile file,
                     SafetensorsFile::Open(directory / shard));
    agreement.Add(shard, file);
    files.push_back(std::move(file));
  }
  RETURN_IF_ERROR(agreement.Finish(directory));
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
