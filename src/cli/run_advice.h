// Why the held-out reward of a run hardly moved.
#ifndef VARALIGN_CLI_RUN_ADVICE_H_
#define VARALIGN_CLI_RUN_ADVICE_H_

#include <string>

#include "varalign/v1/coordinator.pb.h"

namespace varalign::cli {

// One line from the run's own figures: what its weights, its steps and its
// distance from the reference say, and the keys to change. Empty where the
// reward moved, where it was not measured twice, where the objective has none,
// and where the run did not succeed. Pure.
std::string AdviceOnReward(const v1::Run& run);

}  // namespace varalign::cli

#endif  // VARALIGN_CLI_RUN_ADVICE_H_
