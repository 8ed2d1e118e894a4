#include "worker/rule.h"

#include <string>

#include "absl/strings/str_cat.h"
#include "base/exit_code.h"
#include "base/status_macros.h"
#include "data/micro_batches.h"
#include "objective/log_weights.h"
#include "objective/score_kinds.h"
#include "worker/step_batch.h"

namespace varalign::worker {
namespace {

absl::Status BadConfig(const std::string& message) {
  return base::WithExitCode(absl::InvalidArgumentError(message),
                            base::kExitBadConfig);
}

}  // namespace

absl::StatusOr<ScoreSource> ChooseScoreSource(
    const v1::RunConfig& config, const v1::Objective& rule,
    const v1::DatasetManifest& manifest, bool has_reward_server) {
  using Scoring = v1::ScoringConfig;
  const objective::ScoreKinds missing =
      objective::MissingScores(rule, objective::KnownScores(config, manifest));
  const Scoring::Mode mode = config.scoring().mode();
  if (mode == Scoring::MODE_COLUMNS && missing.any()) {
    return BadConfig(absl::StrCat(
        "scoring.mode is columns, but the data set has no ",
        missing.rewards ? "rewards" : "reference log-probabilities",
        " for every row; use scoring.mode: auto with a reward server: ",
        config.data().path()));
  }
  if (!objective::ServedScores(config, rule, manifest).any()) {
    return ScoreSource::kColumns;
  }
  if (!has_reward_server) {
    return absl::UnavailableError(
        "the objective needs scores that the data set does not have, and this "
        "worker knows no reward server; start it with --reward-server "
        "HOST:PORT");
  }
  // The run adds the parts up, and then has columns.
  if (objective::HasRewardRules(config.reward())) return ScoreSource::kColumns;
  return mode == Scoring::MODE_AHEAD ? ScoreSource::kAhead
                                     : ScoreSource::kBefore;
}

absl::Status CheckRoles(const v1::RunConfig& config, const v1::Objective& rule,
                        const v1::DatasetManifest& manifest) {
  // sft trains all rows where it knows no roles.
  if (rule.train_on() != v1::Objective::TRAIN_ON_CHOSEN ||
      rule.preset() == v1::Objective::PRESET_SFT || manifest.has_roles()) {
    return absl::OkStatus();
  }
  return BadConfig(absl::StrCat(
      "objective.train_on is chosen, but the data set has no roles: ",
      config.data().path()));
}

absl::StatusOr<data::Plan> MakePlan(const v1::RunConfig& config,
                                    const v1::Objective& rule,
                                    const v1::DatasetManifest& manifest) {
  auto plan = data::PlanOf(config.train(), rule, manifest);
  if (absl::IsInvalidArgument(plan.status())) {
    return BadConfig(std::string(plan.status().message()));
  }
  return plan;
}

absl::StatusOr<objective::ZSetCounts> CheckedZSets(const data::Dataset& dataset,
                                                   const data::Plan& plan,
                                                   const v1::Objective& rule) {
  objective::ZSetCounts counts;
  // Every Z-block occurs once in an epoch.
  for (uint64_t step = 0; step < plan.steps_per_epoch(); ++step) {
    for (const std::vector<uint64_t>& block : plan.At(step).blocks) {
      std::vector<uint32_t> num_responses;
      for (const uint64_t index : block) {
        const data::ExampleView example = dataset.example(index);
        num_responses.push_back(static_cast<uint32_t>(example.rows.size()));
        counts.paired_examples += HasPair(example);
        counts.rows_without_rival += num_responses.back() == 1;
      }
      for (const auto& z_set : objective::ZSets(num_responses, rule)) {
        counts.rows += z_set.size();
        counts.trivial_z_rows += z_set.size() == 1;
        ++counts.z_sets;
      }
    }
  }
  const absl::Status checked = objective::CheckZSets(rule, counts);
  if (!checked.ok()) return base::WithExitCode(checked, base::kExitBadConfig);
  return counts;
}

}  // namespace varalign::worker
