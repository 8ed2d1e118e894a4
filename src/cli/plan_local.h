// Looks at a run's model, data and machine; links libtorch.
#ifndef VARALIGN_CLI_PLAN_LOCAL_H_
#define VARALIGN_CLI_PLAN_LOCAL_H_

#include "absl/status/status.h"
#include "cli/plan_verb.h"

namespace varalign::cli {

// Prints what the run will need. Loads no model; measures the rate of matrix
// products with the threads of all workers, which takes a second.
//
//   FailedPrecondition (78)  it does not fit: what to change; or it would not
//                            train on the CPU, which alone can be foretold
//   Others as LoadResolvedConfig, CheckInputs, data::Dataset::Open,
//   data::PlanOf (78), model::ReadModelConfig
absl::Status PlanLocally(const PlanArguments& arguments);

}  // namespace varalign::cli

#endif  // VARALIGN_CLI_PLAN_LOCAL_H_
