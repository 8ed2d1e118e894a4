// Hugging Face model directories: safetensors in, safetensors out.
#ifndef VARALIGN_CHECKPOINT_MODEL_DIRECTORY_H_
#define VARALIGN_CHECKPOINT_MODEL_DIRECTORY_H_

#include <ATen/core/Tensor.h>

#include <cstdint>
#include <filesystem>
#include <memory>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "base/safetensors.h"

namespace varalign::checkpoint {

using NamedTensor = std::pair<std::string, at::Tensor>;

// The tensors of a directory, mapped: they read from the files and live as long
// as this object. Reads model.safetensors, or the shards that
// model.safetensors.index.json names.
class ModelTensors {
 public:
  // NotFound without either file (the message says what formats are read).
  // InvalidArgument: damaged file, shard name that leaves the directory, index
  // that disagrees with the shards.
  static absl::StatusOr<ModelTensors> Open(
      const std::filesystem::path& directory);
  const std::vector<NamedTensor>& tensors() const { return tensors_; }

 private:
  std::vector<base::SafetensorsFile> files_;
  std::vector<NamedTensor> tensors_;
};

struct WriteModelOptions {
  // Its config.json (unknown keys kept), tokenizer and template files are
  // copied; weights, README and optimizer files are not.
  std::filesystem::path source;
  uint64_t max_shard_bytes = 5ull << 30;
};

// A file that was written.
struct ModelFile {
  std::string name;  // relative to the directory, '/' between parts
  uint64_t num_bytes = 0;
  std::string xxh3_128;  // lower-case hex
};

// Writes a complete Hugging Face directory into the new directory `target` and
// syncs it. AlreadyExists if `target` is there; ResourceExhausted without room;
// DataLoss for a value that is not finite; `target` is removed on an error.
// Tensors are written in their dtype; config.json's dtype keys follow. Returns
// every file.
absl::StatusOr<std::vector<ModelFile>> WriteModelDirectory(
    const std::filesystem::path& target, std::span<const NamedTensor> tensors,
    const WriteModelOptions& options);

}  // namespace varalign::checkpoint

#endif  // VARALIGN_CHECKPOINT_MODEL_DIRECTORY_H_
