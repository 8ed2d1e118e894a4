// Which kinds of score a run needs, and which of them a reward server gives.
#ifndef VARALIGN_OBJECTIVE_SCORE_KINDS_H_
#define VARALIGN_OBJECTIVE_SCORE_KINDS_H_

#include "varalign/v1/dataset.pb.h"
#include "varalign/v1/run_config.pb.h"

namespace varalign::objective {

struct ScoreKinds {
  bool rewards = false;
  bool logprobs = false;  // of the reference

  bool any() const { return rewards || logprobs; }
};

// All of it is pure; `rule` is resolved, `columns` is what a data set holds for
// every row.

// By NeedsRewards and NeedsLogProbs.
ScoreKinds NeededScores(const v1::Objective& rule);

// Needed, and not in the columns.
ScoreKinds MissingScores(const v1::Objective& rule, const ScoreKinds& columns);

// What a reward server is asked for by `mode`: columns: nothing; auto: all that
// is needed, once any of it is missing; before, ahead: all that is needed.
ScoreKinds ServedScores(const v1::Objective& rule, const ScoreKinds& columns,
                        v1::ScoringConfig::Mode mode);

// Does the reward come of rules (reward.column, pattern, length, exact_match),
// with or without a model?
bool HasRewardRules(const v1::RewardConfig& config);

// What need not be computed by a model: columns of the data set, and rewards
// that come of rules alone.
ScoreKinds KnownScores(const v1::RunConfig& config,
                       const v1::DatasetManifest& manifest);

// What a reward server is asked for by a run. With rules only what is not
// known: the run adds the parts up itself.
ScoreKinds ServedScores(const v1::RunConfig& config, const v1::Objective& rule,
                        const v1::DatasetManifest& manifest);

// What a reward server is asked for of held-out rows, which are always measured
// by rewards and log-probabilities.
ScoreKinds ServedHeldOutScores(const v1::RunConfig& config,
                               const v1::DatasetManifest& held_out);

}  // namespace varalign::objective

#endif  // VARALIGN_OBJECTIVE_SCORE_KINDS_H_
