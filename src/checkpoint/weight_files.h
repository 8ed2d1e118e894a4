// The files that hold the tensors of a Hugging Face model directory.
#ifndef VARALIGN_CHECKPOINT_WEIGHT_FILES_H_
#define VARALIGN_CHECKPOINT_WEIGHT_FILES_H_

#include <filesystem>
#include <vector>

#include "absl/status/statusor.h"
#include "base/safetensors.h"

namespace varalign::checkpoint {

// model.safetensors, or the shards that model.safetensors.index.json names;
// mapped, not read.
//
//   NotFound          neither is there (the message says what formats are read)
//   InvalidArgument   damaged file, shard name that leaves the directory, index
//                     that disagrees with the shards
absl::StatusOr<std::vector<base::SafetensorsFile>> OpenWeightFiles(
    const std::filesystem::path& directory);

}  // namespace varalign::checkpoint

#endif  // VARALIGN_CHECKPOINT_WEIGHT_FILES_H_
