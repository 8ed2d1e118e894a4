// Adapters as PEFT keeps them: a directory of adapter_config.json and
// adapter_model.safetensors (docs/lora.md).
#ifndef VARALIGN_CHECKPOINT_ADAPTER_DIRECTORY_H_
#define VARALIGN_CHECKPOINT_ADAPTER_DIRECTORY_H_

#include <filesystem>
#include <span>
#include <vector>

#include "absl/status/statusor.h"
#include "base/safetensors.h"
#include "checkpoint/adapter_config.h"
#include "checkpoint/model_directory.h"

namespace varalign::checkpoint {

// An adapter in memory; its tensors read from the mapped file and live as long
// as this object.
class Adapter {
 public:
  // Codes of ReadAdapterConfig; NotFound also without the tensors (only
  // safetensors is read), InvalidArgument for a damaged file.
  static absl::StatusOr<Adapter> Open(const std::filesystem::path& directory);

  const AdapterConfig& config() const { return config_; }
  const std::vector<NamedTensor>& tensors() const { return tensors_; }

 private:
  Adapter(AdapterConfig config, base::SafetensorsFile file);

  AdapterConfig config_;
  base::SafetensorsFile file_;
  std::vector<NamedTensor> tensors_;
};

// Writes the new directory `target` and syncs it; returns both files. Codes of
// base::CreateDirectories and base::WriteSafetensors; DataLoss for a value that
// is not finite. Nothing stays on an error.
absl::StatusOr<std::vector<ModelFile>> WriteAdapterDirectory(
    const std::filesystem::path& target, const AdapterConfig& config,
    std::span<const NamedTensor> tensors);

}  // namespace varalign::checkpoint

#endif  // VARALIGN_CHECKPOINT_ADAPTER_DIRECTORY_H_
