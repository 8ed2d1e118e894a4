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
//   NotFound          neither is there (the message says what formats are
//                     read), or shards are not: lists all of them
//   InvalidArgument   damaged file or index (checkpoint/model_index.h); lists
//                     all tensors of which index and shards disagree
//   OutOfRange        an index above 64 MiB
absl::StatusOr<std::vector<base::SafetensorsFile>> OpenWeightFiles(
    const std::filesystem::path& directory);

}  // namespace varalign::checkpoint

#endif  // VARALIGN_CHECKPOINT_WEIGHT_FILES_H_
