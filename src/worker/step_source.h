// Where the steps of a rank come from: the batch with the weights of its rows.
#ifndef VARALIGN_WORKER_STEP_SOURCE_H_
#define VARALIGN_WORKER_STEP_SOURCE_H_

#include <cstdint>
#include <limits>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "base/packed_layout.h"
#include "objective/weight_statistics.h"
#include "worker/step_batch.h"

namespace varalign::worker {

// The log-weight of a row that this rank neither trains nor reports on.
inline constexpr double kNotAsked = std::numeric_limits<double>::quiet_NaN();

// One step, ready to be trained.
struct PreparedStep {
  StepBatch batch;
  // [rows of the batch], nats, -inf for a weight of 0, or kNotAsked.
  std::vector<double> log_weights;
  // [rows of the batch] log pi_ref of the responses, nats, or kNotAsked; empty
  // where the policy does not weigh. Kind dpo has no use for log_weights.
  std::vector<double> reference_logprobs;
  // Of the Z-sets that this rank reports on; to be added up over the ranks.
  // Empty under kind dpo.
  objective::WeightStatistics statistics;
  // How long the step stood still for its weights; zero from columns.
  absl::Duration weight_wait;
};

// Not thread safe: one loop takes the steps. The log-weights are the same bits
// whichever source gives them, on every rank that needs the row.
class StepSource {
 public:
  virtual ~StepSource() = default;

  // Steps are taken one after another, from the first that the run has still to
  // do. Blocks until the weights are there. After an error no step is taken.
  //   DataLoss           a score is missing or not finite
  //   DeadlineExceeded   the weights did not arrive in time
  //   InvalidArgument    the rule does not fit the rows
  //   Internal           a step was left out
  //   others             of the reward server, or why the rank leaves
  virtual absl::StatusOr<PreparedStep> Take(uint64_t step) = 0;
};

// What all sources know. The references outlive the context.
struct StepContext {
  const data::Dataset& dataset;
  const data::Plan& plan;
  v1::Objective rule;  // resolved, lambda in the reward's own unit
  uint32_t rank = 0;
  uint32_t world_size = 1;
  base::PromptSharing prompt_sharing = base::PromptSharing::kOn;
};

// Does this rank need the weight of `row`, to train it or to report on its
// Z-set?
bool NeedsWeight(const StepBatch& batch, const BatchRow& row, uint32_t rank);

// Room for the numbers of the rows of `step.batch`.
void MakeRoom(const StepContext& context, PreparedStep& step);

// Puts the weights of a whole Z-set into `step`, and its statistics if this
// rank reports on it. Codes as objective::WeightStatistics::AddZSet.
absl::Status AddZSet(const StepContext& context, size_t z_set,
                     const std::vector<objective::Score>& scores,
                     const objective::ZSetWeights& weights, PreparedStep& step);

// Weights from columns of the data set, formed here by `objective`. Without
// columns for an objective that needs no scores.
class ColumnStepSource final : public StepSource {
 public:
  // What `context` refers to outlives the source.
  explicit ColumnStepSource(StepContext context)
      : context_(std::move(context)) {}

  absl::StatusOr<PreparedStep> Take(uint64_t step) override;

 private:
  const StepContext context_;
};

}  // namespace varalign::worker

#endif  // VARALIGN_WORKER_STEP_SOURCE_H_
