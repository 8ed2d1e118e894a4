#include "checkpoint/model_files.h"

#include "absl/status/status.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "base/file.h"
#include "base/status_macros.h"

namespace varalign::checkpoint {
namespace {

constexpr uint64_t kMaxJsonBytes = 100 << 20;

}  // namespace

const std::vector<std::string>& CopiedFiles() {
  static const auto* const kNames =
      new std::vector<std::string>{"tokenizer.json",
                                   "tokenizer_config.json",
                                   "tokenizer.model",
                                   "special_tokens_map.json",
                                   "added_tokens.json",
                                   "vocab.json",
                                   "vocab.txt",
                                   "merges.txt",
                                   "chat_template.jinja",
                                   "chat_template.json",
                                   "generation_config.json"};
  return *kNames;
}

std::string ShardName(size_t shard, size_t num_shards) {
  return absl::StrFormat("model-%05d-of-%05d.safetensors", shard + 1,
                         num_shards);
}

absl::StatusOr<base::Json> ReadJsonObject(const std::filesystem::path& path) {
  ASSIGN_OR_RETURN(const std::string text, base::ReadFile(path, kMaxJsonBytes));
  absl::StatusOr<base::Json> json = base::ParseJson(text);
  if (!json.ok()) {
    return absl::InvalidArgumentError(
        absl::StrCat(json.status().message(), " (", path.string(), ")"));
  }
  if (!json->is_object()) {
    return absl::InvalidArgumentError(
        absl::StrCat("not a JSON object: ", path.string()));
  }
  return json;
}

}  // namespace varalign::checkpoint
