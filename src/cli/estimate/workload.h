// What the rows of a run ask of its ranks, from their lengths alone.
// Torch-free.
#ifndef VARALIGN_CLI_ESTIMATE_WORKLOAD_H_
#define VARALIGN_CLI_ESTIMATE_WORKLOAD_H_

#include <cstdint>
#include <span>
#include <vector>

#include "data/micro_batches.h"
#include "data/plan.h"

namespace varalign::cli {

struct MicroBatchSize {
  uint64_t tokens = 0;   // computed
  uint64_t targets = 0;  // of which the loss is taken
};

struct Workload {
  uint64_t steps = 0;  // of the run
  // Means over the steps of an epoch, all ranks together.
  double tokens_per_step = 0;    // of the rows, each with its prompt
  double computed_per_step = 0;  // a shared prompt once
  double targets_per_step = 0;
  double pairs_per_step = 0;  // data::BlockWork
  // What padding the rows of each micro-batch to its longest would add, as a
  // share of all. There is none: rows are packed.
  double padding_if_padded = 0;
  // The micro-batches of any rank that no other exceeds in both sizes.
  std::vector<MicroBatchSize> largest;
};

struct WorkloadOptions {
  uint32_t world_size = 1;
  uint64_t budget_tokens = 0;  // of a micro-batch
  base::PromptSharing sharing = base::PromptSharing::kOn;
  bool keeps_examples_whole = false;  // kind dpo
};

// Cuts the steps of an epoch as training does. `examples`: what is trained of
// each example of the data set.
Workload WorkloadOf(const data::Plan& plan,
                    std::span<const data::BlockLengths> examples,
                    const WorkloadOptions& options);

}  // namespace varalign::cli

#endif  // VARALIGN_CLI_ESTIMATE_WORKLOAD_H_
