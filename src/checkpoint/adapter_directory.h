// Adapters as PEFT keeps them: a directory of adapter_config.json and
// adapter_model.safetensors (docs/lora.md).
#ifndef VARALIGN_CHECKPOINT_ADAPTER_DIRECTORY_H_
#define VARALIGN_CHECKPOINT_ADAPTER_DIRECTORY_H_

#include <cstdint>
#include <filesystem>
#include <span>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "base/safetensors.h"
#include "checkpoint/model_directory.h"

namespace varalign::checkpoint {

// What adapter_config.json says about a low-rank adapter of a causal language
// model. All that it may say besides is refused or without influence.
struct AdapterConfig {
  int64_t rank = 0;  // "r"
  double alpha = 0;  // "lora_alpha"
  // Names of base::kAdapterModules, in that order; the same in every layer.
  std::vector<std::string> modules = {};
  std::string base_model = {};  // the directory that it was trained on
};

// NotFound without the file. InvalidArgument names the key that is missing, of
// another type, or changes numbers in a way that we do not compute: other kinds
// of adapter (DoRA, rank-stabilised scale, ranks by pattern, trained biases or
// whole modules, a model changed by the initialisation), and any key that we do
// not know unless its value says that it is off. The dropout with which it was
// trained does not change what it computes and is not looked at.
absl::StatusOr<AdapterConfig> ReadAdapterConfig(
    const std::filesystem::path& directory);

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
