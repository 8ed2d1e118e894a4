#include "base/checkpoint_name.h"

#include "absl/strings/str_format.h"

namespace varalign::base {

std::filesystem::path CheckpointRoot(const std::filesystem::path& run) {
  return run / "checkpoints";
}

std::string CheckpointName(uint64_t step) {
  return absl::StrFormat("step-%08d", step);
}

}  // namespace varalign::base
