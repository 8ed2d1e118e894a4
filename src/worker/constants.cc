#include "worker/constants.h"

#include <algorithm>
#include <span>
#include <utility>
#include <vector>

#include "base/exit_code.h"
#include "base/status_macros.h"
#include "objective/log_weights.h"
#include "objective/target_kl.h"

namespace varalign::worker {
namespace {

// Examples scored by one call of the scorer: what is held in memory at once.
constexpr uint64_t kExamplesAtOnce = 1024;

// What is measured over all rewards.
class RewardSpread {
 public:
  explicit RewardSpread(const v1::Objective& rule) : rule_(rule) {}

  // Is there anything to measure?
  bool wanted() const {
    return objective::NeedsRewardSd(rule_) || rule_.target_kl() > 0;
  }

  void AddPrompt(std::span<const double> rewards) {
    estimator_.AddPrompt(rewards);
    if (rule_.target_kl() > 0) solver_.AddPrompt(rewards);
  }

  absl::StatusOr<v1::Constants> Constants() const {
    v1::Constants constants;
    constants.set_lambda_raw(rule_.lambda());
    if (objective::NeedsRewardSd(rule_)) {
      const absl::StatusOr<double> sd = estimator_.Sd();
      if (!sd.ok()) return base::WithExitCode(sd.status(), base::kExitBadData);
      constants.set_reward_sd(*sd);
      constants.set_lambda_raw(objective::WithRawLambda(rule_, *sd).lambda());
    }
    if (rule_.target_kl() > 0) {
      const absl::StatusOr<double> lambda = solver_.Lambda(rule_.target_kl());
      if (!lambda.ok()) {
        return base::WithExitCode(lambda.status(), base::kExitBadData);
      }
      constants.set_lambda_raw(*lambda);
    }
    return constants;
  }

 private:
  const v1::Objective& rule_;
  objective::RewardSdEstimator estimator_;
  objective::TargetKlSolver solver_;
};

}  // namespace

absl::StatusOr<v1::Constants> ConstantsFromColumns(const data::Dataset& dataset,
                                                   const v1::Objective& rule) {
  RewardSpread spread(rule);
  if (spread.wanted()) {
    for (uint64_t i = 0; i < dataset.num_examples(); ++i) {
      std::vector<double> rewards;
      for (const data::RowView& row : dataset.example(i).rows) {
        rewards.push_back(row.reward.value_or(0));
      }
      spread.AddPrompt(rewards);
    }
  }
  return spread.Constants();
}

absl::StatusOr<v1::Constants> ConstantsFromServer(const data::Dataset& dataset,
                                                  const v1::Objective& rule,
                                                  ScoreSource source,
                                                  PairScorer& scorer,
                                                  const Progress& progress) {
  RewardSpread spread(rule);
  const bool all = source == ScoreSource::kBefore || spread.wanted();
  const uint64_t num_examples = all ? dataset.num_examples() : 1;
  const uint64_t total_rows = dataset.manifest().num_rows();
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
      spread.AddPrompt(rewards);
    }
    rows_done += scores.size();
  }
  ASSIGN_OR_RETURN(v1::Constants constants, spread.Constants());
  constants.set_reward_fingerprint(scorer.fingerprint());
  return constants;
}

}  // namespace varalign::worker
