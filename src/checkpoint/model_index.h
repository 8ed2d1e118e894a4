// model.safetensors.index.json: which shard holds which tensor.
#ifndef VARALIGN_CHECKPOINT_MODEL_INDEX_H_
#define VARALIGN_CHECKPOINT_MODEL_INDEX_H_

#include <cstdint>
#include <filesystem>
#include <map>
#include <optional>
#include <string>
#include <string_view>

#include "absl/status/statusor.h"

namespace varalign::checkpoint {

struct ModelIndex {
  std::map<std::string, std::string> shard_of;  // by the tensor's name
  std::optional<uint64_t> total_bytes;  // of all tensors, where it is said
};

// InvalidArgument for what is no index: no weight_map, a shard that is not a
// plain file name ([A-Za-z0-9._-]+.safetensors) and might leave the directory,
// or a total_size that is no size. Pure.
absl::StatusOr<ModelIndex> ParseModelIndex(std::string_view text);

// The index of a model directory; errors name the file. Codes of
// ParseModelIndex and base::ReadFile; OutOfRange above 64 MiB.
absl::StatusOr<ModelIndex> ReadModelIndex(
    const std::filesystem::path& directory);

}  // namespace varalign::checkpoint

#endif  // VARALIGN_CHECKPOINT_MODEL_INDEX_H_
