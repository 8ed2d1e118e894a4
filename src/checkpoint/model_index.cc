#include "checkpoint/model_index.h"

#include <algorithm>

#include "absl/status/status.h"
#include "absl/strings/ascii.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "base/file.h"
#include "base/json.h"
#include "base/name_list.h"
#include "base/status_macros.h"
#include "checkpoint/model_files.h"

namespace varalign::checkpoint {
namespace {

using base::Json;

constexpr uint64_t kMaxIndexBytes = 64 << 20;

bool IsShardName(const std::string& name) {
  const auto is_allowed = [](char c) {
    return absl::ascii_isalnum(static_cast<unsigned char>(c)) || c == '.' ||
           c == '_' || c == '-';
  };
  return absl::EndsWith(name, ".safetensors") && name[0] != '.' &&
         std::all_of(name.begin(), name.end(), is_allowed);
}

// metadata.total_size; some writers make it a floating-point number.
absl::StatusOr<std::optional<uint64_t>> ReadTotal(const Json& index) {
  const auto metadata = index.find("metadata");
  if (metadata == index.end() || !metadata->is_object()) return std::nullopt;
  const auto total = metadata->find("total_size");
  if (total == metadata->end() || total->is_null()) return std::nullopt;
  constexpr double kLargest = 1e18;
  if (!total->is_number() || total->get<double>() < 0 ||
      total->get<double>() > kLargest) {
    return absl::InvalidArgumentError(absl::StrCat(
        "total_size is no size: ", base::ListNames({base::DumpJson(*total)})));
  }
  return total->get<uint64_t>();
}

}  // namespace

absl::StatusOr<ModelIndex> ParseModelIndex(std::string_view text) {
  ASSIGN_OR_RETURN(const Json json, base::ParseJson(text));
  if (!json.is_object()) {
    return absl::InvalidArgumentError("not a JSON object");
  }
  const auto entries = json.find("weight_map");
  if (entries == json.end() || !entries->is_object() || entries->empty()) {
    return absl::InvalidArgumentError("weight_map is missing or empty");
  }
  ModelIndex index;
  for (const auto& [name, file] : entries->items()) {
    if (!file.is_string() || !IsShardName(file.get<std::string>())) {
      return absl::InvalidArgumentError(
          absl::StrCat("shard is not a file name of this directory: ",
                       base::ListNames({base::DumpJson(file)})));
    }
    index.shard_of.emplace(name, file.get<std::string>());
  }
  ASSIGN_OR_RETURN(index.total_bytes, ReadTotal(json));
  return index;
}

absl::StatusOr<ModelIndex> ReadModelIndex(
    const std::filesystem::path& directory) {
  const std::filesystem::path path = directory / kIndexName;
  ASSIGN_OR_RETURN(const std::string text,
                   base::ReadFile(path, kMaxIndexBytes));
  absl::StatusOr<ModelIndex> index = ParseModelIndex(text);
  if (index.ok()) return index;
  return absl::InvalidArgumentError(
      absl::StrCat(index.status().message(), " (", path.string(), ")"));
}

}  // namespace varalign::checkpoint
