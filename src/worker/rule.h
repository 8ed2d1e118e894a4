// What a run's configuration means for its weights: where scores come from and
// what the rule is. Pure functions.
#ifndef VARALIGN_WORKER_RULE_H_
#define VARALIGN_WORKER_RULE_H_

#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "data/dataset.h"
#include "data/plan.h"
#include "objective/weight_warnings.h"
#include "varalign/v1/dataset.pb.h"
#include "varalign/v1/run_config.pb.h"

namespace varalign::worker {

enum class ScoreSource {
  // Of the data set, or no score is needed, or the run forms them before step 0
  // (reward rules).
  kColumns,
  kBefore,  // a reward server, all rows scored before step 0
  kAhead,   // a reward server, beside training
};

// By scoring.mode.
//   InvalidArgument (78)   mode columns, but the data set lacks one
//   Unavailable (69)       a reward server is needed, and there is none
absl::StatusOr<ScoreSource> ChooseScoreSource(
    const v1::RunConfig& config, const v1::Objective& rule,
    const v1::DatasetManifest& manifest, bool has_reward_server);

// InvalidArgument (78): chosen rows alone are to be trained, and the data set
// does not know which they are.
absl::Status CheckRoles(const v1::RunConfig& config, const v1::Objective& rule,
                        const v1::DatasetManifest& manifest);

// The plan of a run. InvalidArgument (78) names the keys that do not fit.
absl::StatusOr<data::Plan> MakePlan(const v1::RunConfig& config,
                                    const v1::Objective& rule,
                                    const v1::DatasetManifest& manifest);

// The Z-sets of an epoch, counted. FailedPrecondition (78): every one has one
// row, which objective::CheckZSets refuses.
absl::StatusOr<objective::ZSetCounts> CheckedZSets(const data::Dataset& dataset,
                                                   const data::Plan& plan,
                                                   const v1::Objective& rule);

}  // namespace varalign::worker

#endif  // VARALIGN_WORKER_RULE_H_
