// One rank's part of a step as tensors.
#ifndef VARALIGN_WORKER_MICRO_BATCH_H_
#define VARALIGN_WORKER_MICRO_BATCH_H_

#include <ATen/core/Tensor.h>

#include <cstdint>
#include <vector>

#include "data/collate.h"
#include "objective/policy_loss.h"
#include "objective/weight_statistics.h"

namespace varalign::worker {

struct MicroBatch {
  data::PackedRows packed;
  at::Tensor weights;  // [R] of each loss row: exp(log w), over n where the
                       // reduction says so; undefined where the policy weighs
  // Where the policy weighs: the responses in the order of `packed`, without
  // the policy's log-probabilities, those that share a loss together (under
  // kind dpo a prompt's). Else empty.
  std::vector<std::vector<objective::PolicyRow>> policy_rows;
};

struct LocalBatch {
  std::vector<MicroBatch> micro_batches;  // none: this rank has no rows
  double divisor = 1;                     // D, equal on all ranks
  uint64_t tokens = 0;           // of this rank's rows, each with its prompt
  uint64_t computed_tokens = 0;  // a shared prompt once
  objective::WeightStatistics statistics;
  objective::PolicyLossFunction policy_loss;  // empty: weights are constants
};

}  // namespace varalign::worker

#endif  // VARALIGN_WORKER_MICRO_BATCH_H_
