// Hugging Face model directories: safetensors in, safetensors out.
#ifndef VARALIGN_CHECKPOINT_MODEL_DIRECTORY_H_
#define VARALIGN_CHECKPOINT_MODEL_DIRECTORY_H_

#include <ATen/core/Tensor.h>

#include <cstdint>
#include <filesystem>
#include <memory>
#include <optional>
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
  // Codes of checkpoint/weight_files.h.
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
  // Weights of more bytes are written in several files.
  uint64_t max_shard_bytes = 5'000'000'000;
  // Of floating-point tensors; empty: each in its own.
  std::optional<at::ScalarType> dtype = std::nullopt;
};

// A file that was written.
struct ModelFile {
  std::string name;  // relative to the directory, '/' between parts
  uint64_t num_bytes = 0;
  std::string xxh3_128;  // lower-case hex
};

// Writes a complete Hugging Face directory into the new directory `target` and
// syncs it. AlreadyExists if `target` is there; ResourceExhausted without room;
// DataLoss for a value that is not finite (in the dtype that is written);
// `target` is removed on an error. config.json's dtype keys follow the tensors.
// Beside `tensors` it holds one shard in memory. Returns every file.
absl::StatusOr<std::vector<ModelFile>> WriteModelDirectory(
    const std::filesystem::path& target, std::span<const NamedTensor> tensors,
    const WriteModelOptions& options);

}  // namespace varalign::checkpoint

#endif  // VARALIGN_CHECKPOINT_MODEL_DIRECTORY_H_
