// A Z-set of a step as the message that asks a reward server for its weights.
#ifndef VARALIGN_WORKER_Z_SET_MESSAGE_H_
#define VARALIGN_WORKER_Z_SET_MESSAGE_H_

#include <cstdint>
#include <vector>

#include "varalign/v1/reward.pb.h"
#include "worker/step_batch.h"

namespace varalign::worker {

// Adds the rows `z_set` of `batch` to `group`, as pairs in their order; rows of
// one prompt that follow one another share its span. Returns what they cost the
// server's credit.
uint64_t AddPairs(const StepBatch& batch, const std::vector<uint32_t>& z_set,
                  v1::Group& group);

}  // namespace varalign::worker

#endif  // VARALIGN_WORKER_Z_SET_MESSAGE_H_
