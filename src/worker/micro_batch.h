// One rank's part of a step as tensors.
#ifndef VARALIGN_WORKER_MICRO_BATCH_H_
#define VARALIGN_WORKER_MICRO_BATCH_H_

#include <ATen/core/Tensor.h>

#include <cstdint>
#include <vector>

#include "data/collate.h"
#include "objective/preference.h"
#include "objective/weight_statistics.h"

namespace varalign::worker {

struct MicroBatch {
  data::PackedRows packed;
  at::Tensor weights;  // [R] of each loss row: exp(log w), over n where the
                       // reduction says so; undefined under kind dpo
  // Under kind dpo: prompt by prompt, the responses in the order of `packed`,
  // without the policy's log-probabilities. Else empty.
  std::vector<std::vector<objective::PreferenceRow>> preferences;
};

struct LocalBatch {
  std::vector<MicroBatch> micro_batches;  // none: this rank has no rows
  double divisor = 1;                     // D, equal on all ranks
  uint64_t tokens = 0;           // of this rank's rows, each with its prompt
  uint64_t computed_tokens = 0;  // a shared prompt once
  objective::WeightStatistics statistics;
  objective::PreferenceOptions preference;  // of kind dpo
};

}  // namespace varalign::worker

#endif  // VARALIGN_WORKER_MICRO_BATCH_H_
