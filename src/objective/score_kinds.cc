#include "objective/score_kinds.h"

#include "objective/log_weights.h"

namespace varalign::objective {

ScoreKinds NeededScores(const v1::Objective& rule) {
  return {.rewards = NeedsRewards(rule), .logprobs = NeedsLogProbs(rule)};
}

ScoreKinds MissingScores(const v1::Objective& rule, const ScoreKinds& columns) {
  const ScoreKinds needed = NeededScores(rule);
  return {.rewards = needed.rewards && !columns.rewards,
          .logprobs = needed.logprobs && !columns.logprobs};
}

ScoreKinds ServedScores(const v1::Objective& rule, const ScoreKinds& columns,
                        v1::ScoringConfig::Mode mode) {
  switch (mode) {
    case v1::ScoringConfig::MODE_COLUMNS:
      return {};
    case v1::ScoringConfig::MODE_BEFORE:
    case v1::ScoringConfig::MODE_AHEAD:
      return NeededScores(rule);
    default:
      return MissingScores(rule, columns).any() ? NeededScores(rule)
                                                : ScoreKinds();
  }
}

}  // namespace varalign::objective
