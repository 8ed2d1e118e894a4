// Does every Z-set of a run fit one message to a reward server? A set is
// weighed as a whole; one that is too large would be refused in mid-run, after
// everything was scored.
#ifndef VARALIGN_WORKER_Z_SET_LIMITS_H_
#define VARALIGN_WORKER_Z_SET_LIMITS_H_

#include <cstdint>

#include "absl/status/status.h"
#include "data/dataset.h"
#include "data/plan.h"
#include "varalign/v1/run_config.pb.h"

namespace varalign::worker {

struct ZSetLimits {
  uint64_t max_bytes;
  uint64_t max_pairs;
};

// Looks at the Z-sets of one epoch, of which all others are made too.
// InvalidArgument (78) names the step of the first that does not fit.
absl::Status CheckZSetsFit(const data::Dataset& dataset, const data::Plan& plan,
                           const v1::Objective& rule, const ZSetLimits& limits);

}  // namespace varalign::worker

#endif  // VARALIGN_WORKER_Z_SET_LIMITS_H_
