#include "worker/step_source.h"

#include <utility>

#include "absl/strings/str_cat.h"
#include "base/status_macros.h"
#include "objective/policy_loss.h"
#include "objective/score_kinds.h"
#include "worker/column_score.h"

namespace varalign::worker {
namespace {

absl::StatusOr<objective::Score> NeededScore(const data::ExampleView& example,
                                             size_t response,
                                             const v1::Objective& rule) {
  const data::RowView& row = example.rows[response];
  const objective::ScoreKinds columns = {
      .rewards = row.reward.has_value(),
      .logprobs = row.logprob_sum.has_value()};
  if (objective::MissingScores(rule, columns).any()) {
    return absl::DataLossError(absl::StrCat(
        "the data set has no score for row ", example.first_row + response));
  }
  return ColumnScore(row);
}

bool NeedsZSet(const StepBatch& batch, const std::vector<uint32_t>& z_set,
               uint32_t rank) {
  for (const uint32_t row : z_set) {
    if (NeedsWeight(batch, batch.rows[row], rank)) return true;
  }
  return false;
}

}  // namespace

bool NeedsWeight(const StepBatch& batch, const BatchRow& row, uint32_t rank) {
  return batch.rank_of_z_set(row.z_set) == rank ||
         (row.trained && batch.rank_of(row) == rank);
}

void MakeRoom(const StepContext& context, PreparedStep& step) {
  step.log_weights.assign(step.batch.rows.size(), kNotAsked);
  if (!objective::IsWeighedByPolicy(context.rule)) return;
  step.reference_logprobs.assign(step.batch.rows.size(), kNotAsked);
}

absl::Status AddZSet(const StepContext& context, size_t z_set,
                     const std::vector<objective::Score>& scores,
                     const objective::ZSetWeights& weights,
                     PreparedStep& step) {
  const std::vector<uint32_t>& rows = step.batch.z_sets[z_set];
  std::vector<uint32_t> group;
  std::vector<base::Role> roles;
  for (size_t k = 0; k < rows.size(); ++k) {
    const BatchRow& row = step.batch.rows[rows[k]];
    step.log_weights[rows[k]] = weights.log_weights[k];
    if (!step.reference_logprobs.empty()) {
      step.reference_logprobs[rows[k]] = scores[k].logprob_sum;
    }
    group.push_back(row.example);
    roles.push_back(step.batch.view(row).role);
  }
  if (context.rule.kind() == v1::Objective::KIND_DPO ||
      step.batch.rank_of_z_set(z_set) != context.rank) {
    return absl::OkStatus();
  }
  return step.statistics.AddZSet(scores, weights, context.rule, group, roles);
}

absl::StatusOr<PreparedStep> ColumnStepSource::Take(uint64_t step) {
  PreparedStep prepared;
  prepared.batch =
      MakeStepBatch(context_.dataset, context_.plan.At(step), context_.rule,
                    context_.world_size, context_.prompt_sharing);
  const StepBatch& batch = prepared.batch;
  MakeRoom(context_, prepared);
  for (size_t z_set = 0; z_set < batch.z_sets.size(); ++z_set) {
    if (!NeedsZSet(batch, batch.z_sets[z_set], context_.rank)) continue;
    std::vector<objective::Score> scores;
    std::vector<uint32_t> group;
    for (const uint32_t number : batch.z_sets[z_set]) {
      const BatchRow& row = batch.rows[number];
      ASSIGN_OR_RETURN(const objective::Score score,
                       NeededScore(batch.examples[row.example], row.response,
                                   context_.rule));
      scores.push_back(score);
      group.push_back(row.example);
    }
    ASSIGN_OR_RETURN(const objective::ZSetWeights weights,
                     objective::LogWeights(scores, context_.rule, group));
    RETURN_IF_ERROR(AddZSet(context_, z_set, scores, weights, prepared));
  }
  return prepared;
}

}  // namespace varalign::worker
