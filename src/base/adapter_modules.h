// The projections of a decoder layer that an adapter may change, by the names
// that Hugging Face's models and PEFT have for them.
#ifndef VARALIGN_BASE_ADAPTER_MODULES_H_
#define VARALIGN_BASE_ADAPTER_MODULES_H_

#include <array>
#include <string>
#include <string_view>
#include <vector>

#include "absl/status/statusor.h"

namespace varalign::base {

// In the order of a layer.
inline constexpr std::array<std::string_view, 7> kAdapterModules = {
    "q_proj",    "k_proj",  "v_proj",   "o_proj",
    "gate_proj", "up_proj", "down_proj"};

// All of them, which is what PEFT makes of the word too: the head is none.
inline constexpr std::string_view kAllLinear = "all-linear";

// `text` names modules, separated by commas, or is kAllLinear. Each name once,
// in the order of kAdapterModules. InvalidArgument says which name is none of
// them, and which there are.
absl::StatusOr<std::vector<std::string>> ParseAdapterModules(
    std::string_view text);

}  // namespace varalign::base

#endif  // VARALIGN_BASE_ADAPTER_MODULES_H_
