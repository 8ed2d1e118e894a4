// adapter_config.json of a PEFT adapter. No torch.
#ifndef VARALIGN_CHECKPOINT_ADAPTER_CONFIG_H_
#define VARALIGN_CHECKPOINT_ADAPTER_CONFIG_H_

#include <cstdint>
#include <filesystem>
#include <string>
#include <vector>

#include "absl/status/statusor.h"

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

}  // namespace varalign::checkpoint

#endif  // VARALIGN_CHECKPOINT_ADAPTER_CONFIG_H_
