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

bool HasRewardRules(const v1::RewardConfig& config) {
  return !config.column().name().empty() || !config.pattern().regex().empty() ||
         config.length().weight() != 0 ||
         !config.exact_match().column().empty();
}

ScoreKinds KnownScores(const v1::RunConfig& config,
                       const v1::DatasetManifest& manifest) {
  const v1::RewardConfig& reward = config.reward();
  if (HasRewardRules(reward) && reward.path().empty()) {
    return {.rewards = true, .logprobs = manifest.has_logprobs()};
  }
  return {.rewards = manifest.has_rewards(),
          .logprobs = manifest.has_logprobs()};
}

ScoreKinds ServedScores(const v1::RunConfig& config, const v1::Objective& rule,
                        const v1::DatasetManifest& manifest) {
  const v1::ScoringConfig::Mode mode = config.scoring().mode();
  const ScoreKinds known = KnownScores(config, manifest);
  if (!HasRewardRules(config.reward())) return ServedScores(rule, known, mode);
  if (mode == v1::ScoringConfig::MODE_COLUMNS) return {};
  return MissingScores(rule, known);
}

ScoreKinds ServedHeldOutScores(const v1::RunConfig& config,
                               const v1::DatasetManifest& held_out) {
  const ScoreKinds known = KnownScores(config, held_out);
  const ScoreKinds missing = {.rewards = !known.rewards,
                              .logprobs = !known.logprobs};
  if (HasRewardRules(config.reward()) || !missing.any()) return missing;
  // Rows are scored whole where one column is missing.
  return {.rewards = true, .logprobs = true};
}

}  // namespace varalign::objective
