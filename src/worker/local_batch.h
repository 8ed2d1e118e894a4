// One rank's part of a step, made of the global batch.
#ifndef VARALIGN_WORKER_LOCAL_BATCH_H_
#define VARALIGN_WORKER_LOCAL_BATCH_H_

#include <ATen/core/Tensor.h>

#include <cstdint>

#include "worker/micro_batch.h"
#include "worker/step_source.h"

namespace varalign::worker {

// Rows of weight 0 are left out; they count in D all the same. `dtype` is that
// of the parameters. Micro-batches hold at most `budget_tokens` computed tokens
// each; where prompts are shared, an example above that is split by its
// responses, and a row above it is alone. Under kind dpo the responses of a
// prompt stay in one micro-batch, whatever their size: their loss is one.
LocalBatch MakeLocalBatch(const StepContext& context, const PreparedStep& step,
                          uint64_t budget_tokens, at::ScalarType dtype);

}  // namespace varalign::worker

#endif  // VARALIGN_WORKER_LOCAL_BATCH_H_
