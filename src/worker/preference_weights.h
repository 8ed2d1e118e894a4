// From the log-probabilities of a micro-batch to the weights that make its
// weighted likelihood's gradient that of the preference loss.
#ifndef VARALIGN_WORKER_PREFERENCE_WEIGHTS_H_
#define VARALIGN_WORKER_PREFERENCE_WEIGHTS_H_

#include <ATen/core/Tensor.h>

#include "objective/preference.h"
#include "worker/micro_batch.h"

namespace varalign::worker {

struct PreferenceWeights {
  double loss = 0;     // of the prompts of the micro-batch, summed
  at::Tensor weights;  // [R] of `nll`'s type: dL/dnll of each loss row
};

// `nll` [R] are the loss rows' -log p under the policy as it stands. A rejected
// response has negative weights. Adds the micro-batch's pairs to `sums`. Pure;
// throws what libtorch throws.
PreferenceWeights WeighPreferences(const MicroBatch& micro,
                                   const at::Tensor& nll,
                                   const objective::PreferenceOptions& options,
                                   objective::PreferenceSums& sums);

}  // namespace varalign::worker

#endif  // VARALIGN_WORKER_PREFERENCE_WEIGHTS_H_
