// The weights of a Hugging Face model directory, as they are written.
#ifndef VARALIGN_CHECKPOINT_WEIGHT_WRITER_H_
#define VARALIGN_CHECKPOINT_WEIGHT_WRITER_H_

#include <cstdint>
#include <filesystem>
#include <span>
#include <vector>

#include "absl/status/statusor.h"
#include "checkpoint/model_directory.h"

namespace varalign::checkpoint {

// Bytes of the tensors in the dtype that is written.
uint64_t WrittenBytes(std::span<const NamedTensor> tensors,
                      const WriteModelOptions& options);

// Writes model.safetensors, or, where that were larger than
// `options.max_shard_bytes`, shards of consecutive tensors and, last, their
// index. A tensor is never cut: a shard may be larger by that. Holds one shard
// in memory in the dtype that is written. Syncs the files, not the directory;
// returns them. Codes of TensorSpans::Of and base::WriteSafetensors.
absl::StatusOr<std::vector<ModelFile>> WriteWeights(
    const std::filesystem::path& target, std::span<const NamedTensor> tensors,
    const WriteModelOptions& options);

}  // namespace varalign::checkpoint

#endif  // VARALIGN_CHECKPOINT_WEIGHT_WRITER_H_
