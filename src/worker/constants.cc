#include "worker/constants.h"

#include <algorithm>
#include <utility>
#include <vector>

#include "base/exit_code.h"
#include "base/status_macros.h"
#include "objective/log_weights.h"

namespace varalign::worker {
namespace {

// Examples scored by one call of the scorer: what is held in memory at once.
constexpr uint64_t kExamplesAtOnce = 1024;

absl::StatusOr<v1::Constants> MakeConstants(
    const objective::RewardSdEstimator& estimator, const v1::Objective& rule) {
  v1::Constants constants;
  if (objective::NeedsRewardSd(rule)) {
    const absl::StatusOr<double> sd = estimator.Sd();
    if (!sd.ok()) return base::WithExitCode(sd.status(), base::kExitBadData);
    constants.set_reward_sd(*sd);
    constants.set_lambda_raw(objective::WithRawLambda(rule, *sd).lambda());
  } else {
    constants.set_lambda_raw(rule.lambda());
  }
  return constants;
}

}  // namespace

absl::StatusOr<v1::Constants> ConstantsFromColumns(const data::Dataset& dataset,
                                                   const v1::Objective& rule) {
  objective::RewardSdEstimator estimator;
  if (objective::NeedsRewardSd(rule)) {
    for (uint64_t i = 0; i < dataset.num_examples(); ++i) {
      std::vector<double> rewards;
      for (const data::RowView& row : dataset.example(i).rows) {
        rewards.push_back(row.reward.value_or(0));
      }
      estimator.AddPrompt(rewards);
    }
  }
  return MakeConstants(estimator, rule);
}

absl::StatusOr<v1::Constants> ConstantsFromServer(const data::Dataset& dataset,
                                                  const v1::Objective& rule,
                                                  ScoreSource source,
                                                  PairScorer& scorer,
                                                  const Progress& progress) {
  const bool all =
      source == ScoreSource::kBefore || objective::NeedsRewardSd(rule);
  const uint64_t num_examples = all ? dataset.num_examples() : 1;
  const uint64_t total_rows = dataset.manifest().num_rows();
  objective::RewardSdEstimator estimator;
  uint64_t rows_done = 0;
  for (uint64_t begin = 0; begin < num_examples; begin += kExamplesAtOnce) {
    const uint64_t end = std::min(begin + kExamplesAtOnce, num_examples);
    std::vector<data::ExampleView> examples;
    for (uint64_t i = begin; i < end; ++i) {
      examples.push_back(dataset.example(i));
    }
    ASSIGN_OR_RETURN(const std::vector<objective::Score> scores,
                     scorer.Score(examples, [&](uint64_t rows) {
                       progress(rows_done + rows, total_rows);
                     }));
    size_t next = 0;
    for (const data::ExampleView& example : examples) {
      std::vector<double> rewards;
      for (size_t k = 0; k < example.rows.size(); ++k) {
        rewards.push_back(scores[next++].reward);
      }
      estimator.AddPrompt(rewards);
    }
    rows_done += scores.size();
  }
  ASSIGN_OR_RETURN(v1::Constants constants, MakeConstants(estimator, rule));
  constants.set_reward_fingerprint(scorer.fingerprint());
  return constants;
}

}  // namespace varalign::worker
