// A rank's whole life in one generation of a run.
#ifndef VARALIGN_WORKER_RANK_RUN_H_
#define VARALIGN_WORKER_RANK_RUN_H_

#include "absl/status/status.h"
#include "base/clock.h"
#include "worker/metrics.h"
#include "worker/rank_flags.h"

namespace varalign::worker {

// Prepares (data, model or checkpoint, group, constants), trains, saves,
// evaluates. Blocks until the rank is done. One call per process.
//
//   Ok                        all steps are done (exit code 0)
//   Cancelled (93)            cancelled, saved
//   FailedPrecondition (93)   stopped by policy
//   Unavailable (69)          coordinator, reward server or a peer is gone:
//                             nothing is wrong with this rank
//   InvalidArgument (65, 78), NotFound (66), DataLoss (65),
//   PermissionDenied (73), ResourceExhausted (74), Internal (70)
absl::Status RunRank(const RankFlags& flags, TrainerMetrics& metrics,
                     const base::Clock& clock);

}  // namespace varalign::worker

#endif  // VARALIGN_WORKER_RANK_RUN_H_
