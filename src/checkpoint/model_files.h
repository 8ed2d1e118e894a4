// Which files make a Hugging Face model directory, or an adapter's.
#ifndef VARALIGN_CHECKPOINT_MODEL_FILES_H_
#define VARALIGN_CHECKPOINT_MODEL_FILES_H_

#include <cstdint>
#include <filesystem>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "base/json.h"

namespace varalign::checkpoint {

inline constexpr char kConfigName[] = "config.json";
inline constexpr char kSingleFileName[] = "model.safetensors";
inline constexpr char kAdapterConfigName[] = "adapter_config.json";
inline constexpr char kIndexName[] = "model.safetensors.index.json";

// Files that are copied from the source directory where they exist: tokenizer,
// chat template, generation settings.
const std::vector<std::string>& CopiedFiles();

// model-00002-of-00005.safetensors for shard 1 of 5.
std::string ShardName(size_t shard, size_t num_shards);

// NotFound without the file; InvalidArgument names it where it is no JSON
// object.
absl::StatusOr<base::Json> ReadJsonObject(const std::filesystem::path& path);

}  // namespace varalign::checkpoint

#endif  // VARALIGN_CHECKPOINT_MODEL_FILES_H_
