// Where the checkpoints of a run lie: RUN/checkpoints/step-00001234. Workers
// write them, the coordinator looks for them.
#ifndef VARALIGN_BASE_CHECKPOINT_NAME_H_
#define VARALIGN_BASE_CHECKPOINT_NAME_H_

#include <cstdint>
#include <filesystem>
#include <string>

namespace varalign::base {

// RUN/checkpoints.
std::filesystem::path CheckpointRoot(const std::filesystem::path& run);

// "step-00001234": the checkpoint after so many steps.
std::string CheckpointName(uint64_t step);

}  // namespace varalign::base

#endif  // VARALIGN_BASE_CHECKPOINT_NAME_H_
