#include "worker/trainer.h"

#include <ATen/core/grad_mode.h>
#include <ATen/ops/zeros.h>

#include <algorithm>
#include <cmath>
#include <utility>
#include <vector>

#include "base/status_macros.h"
#include "model/forward.h"
#include "objective/weighted_nll.h"
#include "worker/policy_weigher.h"

namespace varalign::worker {
namespace {

// In float64, block by block: a whole copy would double the gradient's memory.
double SumOfSquares(const std::vector<at::Tensor>& slices) {
  constexpr int64_t kBlock = int64_t{1} << 18;
  double sum = 0;
  for (const at::Tensor& slice : slices) {
    for (int64_t at = 0; at < slice.numel(); at += kBlock) {
      sum += slice.narrow(0, at, std::min(kBlock, slice.numel() - at))
                 .to(at::kDouble)
                 .square()
                 .sum()
                 .item<double>();
    }
  }
  return sum;
}

// What a step sums over all ranks beside the gradient, in one reduction.
struct StepSums {
  double loss = 0;     // sum(w nll), or a loss over responses
  double squares = 0;  // of the reduced gradient
  double tokens = 0;
  double computed_tokens = 0;
  objective::WeightStatistics statistics;
  objective::PreferenceSums preferences;
};

// The loss of a micro-batch, a sum, not a mean.
at::Tensor LossOf(const LocalBatch& batch, const MicroBatch& micro,
                  const at::Tensor& hidden, const at::Tensor& lm_head,
                  StepSums& sums) {
  if (micro.policy_rows.empty()) {
    return objective::WeightedNllLoss(hidden, lm_head, micro.packed.targets,
                                      micro.weights)
        .loss;
  }
  PolicyWeigher weigher(micro.policy_rows, batch.policy_loss, sums.preferences);
  return objective::WeightedNllLoss(hidden, lm_head, micro.packed.targets,
                                    weigher)
      .loss;
}

// The gradients of all micro-batches add up in `state.parameters.gradients`,
// this rank's share of the loss in `sums`.
absl::Status AccumulateGradients(const LocalBatch& batch, FlatShards& shards,
                                 TrainState& state, StepSums& sums) {
  const at::Tensor& gradients = state.parameters.gradients;
  gradients.zero_();
  for (const MicroBatch& micro : batch.micro_batches) {
    // In the last backward pass a bucket leaves as soon as it is full.
    if (&micro == &batch.micro_batches.back()) {
      shards.SendFullBuckets(gradients);
    }
    const at::Tensor hidden =  // [R, H], loss rows only
        model::Forward(state.parameters, micro.packed.tokens,
                       micro.packed.layout, micro.packed.loss_positions,
                       state.recompute);
    const at::Tensor loss =
        LossOf(batch, micro, hidden, state.parameters.lm_head, sums);
    RETURN_IF_ERROR(shards.status());  // the parameters have all come
    loss.backward();
    sums.loss += loss.item<double>();
  }
  shards.SendAllBuckets(gradients);
  return absl::OkStatus();
}

absl::Status SumOverRanks(FlatShards& shards, StepSums& sums) {
  constexpr int64_t kScalars = 4;
  constexpr int64_t kPreferences =  // where theirs begin
      kScalars + objective::WeightStatistics::kNumSums;
  at::Tensor all = at::zeros(
      {kPreferences + objective::PreferenceSums::kNumSums}, at::kDouble);
  double* const sum = all.data_ptr<double>();
  sum[0] = sums.loss;
  sum[1] = sums.squares;
  sum[2] = sums.tokens;
  sum[3] = sums.computed_tokens;
  const auto statistics = sums.statistics.sums();
  std::copy(statistics.begin(), statistics.end(), sum + kScalars);
  const auto preferences = sums.preferences.sums();
  std::copy(preferences.begin(), preferences.end(), sum + kPreferences);
  RETURN_IF_ERROR(shards.AllReduceSum(all));
  sums.loss = sum[0];
  sums.squares = sum[1];
  sums.tokens = sum[2];
  sums.computed_tokens = sum[3];
  std::copy_n(sum + kScalars, statistics.size(), statistics.begin());
  std::copy_n(sum + kPreferences, preferences.size(), preferences.begin());
  return absl::OkStatus();
}

// Bucket by bucket, each on its way to all ranks while the next is updated.
absl::Status Update(const std::vector<at::Tensor>& slices, double scale,
                    double learning_rate, FlatShards& shards,
                    TrainState& state) {
  at::Tensor flat = state.parameters.flat.detach();
  for (size_t bucket = 0; bucket < slices.size(); ++bucket) {
    optim::AdamWStep(slices[bucket], scale, learning_rate, state.adamw_options,
                     state.adamw[bucket]);
    optim::WriteMaster(state.adamw[bucket], flat);
    RETURN_IF_ERROR(shards.SendSlice(bucket));
  }
  return absl::OkStatus();
}

}  // namespace

TrainState MakeTrainState(model::Parameters parameters, FlatShards& shards) {
  TrainState state{
      .parameters = std::move(parameters), .adamw = {}, .adamw_options = {}};
  model::EnableGradients(state.parameters);
  state.parameters.watcher = &shards;
  const at::NoGradGuard no_grad;
  const at::Tensor flat = state.parameters.flat.detach();
  for (const collective::Slice& slice : shards.slices()) {
    state.adamw.push_back(optim::MakeAdamWState(flat, slice.begin, slice.end,
                                                state.parameters.decayed));
  }
  return state;
}

absl::StatusOr<StepOutcome> TrainStep(const LocalBatch& batch,
                                      double learning_rate, FlatShards& shards,
                                      TrainState& state) {
  StepSums sums{.tokens = static_cast<double>(batch.tokens),
                .computed_tokens = static_cast<double>(batch.computed_tokens),
                .statistics = batch.statistics,
                .preferences = {}};
  RETURN_IF_ERROR(AccumulateGradients(batch, shards, state, sums));
  const at::NoGradGuard no_grad;

  // From here on a rank holds its slices of the gradient, summed over all
  // ranks.
  ASSIGN_OR_RETURN(const std::vector<at::Tensor> slices,
                   shards.AwaitGradients());
  sums.squares = SumOfSquares(slices);
  RETURN_IF_ERROR(SumOverRanks(shards, sums));

  // The divisor comes from the data plan; it does not depend on the split.
  StepOutcome outcome{
      .loss = sums.loss / batch.divisor,
      .grad_norm = std::sqrt(sums.squares) / batch.divisor,
      .tokens = static_cast<uint64_t>(sums.tokens),
      .computed_tokens = static_cast<uint64_t>(sums.computed_tokens),
      .statistics = sums.statistics,
      .preferences = sums.preferences};

  // Every rank has the same norm: all of them update, or none.
  outcome.skipped = !std::isfinite(outcome.grad_norm);
  if (!outcome.skipped) {
    const double scale =
        optim::ClipFactor(outcome.grad_norm, state.max_grad_norm) /
        batch.divisor;
    RETURN_IF_ERROR(Update(slices, scale, learning_rate, shards, state));
  }
  outcome.exposed_communication = shards.TakeExposed();
  return outcome;
}

}  // namespace varalign::worker
