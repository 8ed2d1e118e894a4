// The constants of a run that need all scores: the reward's spread and lambda
// in the reward's own unit. Rank 0 computes them before step 0.
#ifndef VARALIGN_WORKER_CONSTANTS_H_
#define VARALIGN_WORKER_CONSTANTS_H_

#include <cstdint>
#include <functional>

#include "absl/status/statusor.h"
#include "data/dataset.h"
#include "varalign/v1/coordinator.pb.h"
#include "varalign/v1/run_config.pb.h"
#include "worker/pair_scorer.h"
#include "worker/rule.h"

namespace varalign::worker {

using Progress = std::function<void(uint64_t done, uint64_t total)>;

// From the columns of the data set. FailedPrecondition (65): all rewards
// are equal.
absl::StatusOr<v1::Constants> ConstantsFromColumns(const data::Dataset& dataset,
                                                   const v1::Objective& rule);

// From a reward server: scores every row once, in the order of the data set,
// which also fills the server's store. Where `source` is kAhead and no spread
// is needed, scores the first example alone: all ranks must use the same
// models, so their fingerprint is a constant of the run in any case. Codes as
// PairScorer::Score, and FailedPrecondition as above.
absl::StatusOr<v1::Constants> ConstantsFromServer(const data::Dataset& dataset,
                                                  const v1::Objective& rule,
                                                  ScoreSource source,
                                                  PairScorer& scorer,
                                                  const Progress& progress);

}  // namespace varalign::worker

#endif  // VARALIGN_WORKER_CONSTANTS_H_
