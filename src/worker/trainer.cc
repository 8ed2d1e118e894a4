#include "worker/trainer.h"

#include <ATen/core/grad_mode.h>
#include <ATen/ops/zeros.h>

#include <algorithm>
#include <cmath>
#include <utility>

#include "base/status_macros.h"
#include "model/forward.h"
#include "objective/weighted_nll.h"

namespace varalign::worker {
namespace {

// In float64, block by block: a whole copy would double the gradient's memory.
double SumOfSquares(const at::Tensor& slice) {
  constexpr int64_t kBlock = int64_t{1} << 20;
  double sum = 0;
  for (int64_t at = 0; at < slice.numel(); at += kBlock) {
    sum += slice.narrow(0, at, std::min(kBlock, slice.numel() - at))
               .to(at::kDouble)
               .square()
               .sum()
               .item<double>();
  }
  return sum;
}

// The gradients of all micro-batches add up in `state.parameters.gradients`.
// Returns sum(w nll) of this rank.
double AccumulateGradients(const LocalBatch& batch, TrainState& state) {
  state.parameters.gradients.zero_();
  double loss_sum = 0;
  for (const MicroBatch& micro : batch.micro_batches) {
    const at::Tensor hidden =  // [R, H], loss rows only
        model::Forward(state.parameters, micro.packed.tokens,
                       micro.packed.layout, micro.packed.loss_positions,
                       state.recompute);
    const objective::WeightedNll loss =  // a sum, not a mean
        objective::WeightedNllLoss(hidden, state.parameters.lm_head,
                                   micro.packed.targets, micro.weights);
    loss.loss.backward();
    loss_sum += loss.loss.item<double>();
  }
  return loss_sum;
}

}  // namespace

TrainState MakeTrainState(model::Parameters parameters,
                          const FlatShards& shards) {
  TrainState state{
      .parameters = std::move(parameters), .adamw = {}, .adamw_options = {}};
  model::EnableGradients(state.parameters);
  state.adamw = optim::MakeAdamWState(state.parameters.flat, shards.begin(),
                                      shards.end(), state.parameters.decayed);
  return state;
}

absl::StatusOr<StepOutcome> TrainStep(const LocalBatch& batch,
                                      double learning_rate,
                                      collective::ProcessGroup& group,
                                      FlatShards& shards, TrainState& state) {
  StepOutcome outcome{.statistics = batch.statistics};
  const double loss_sum = AccumulateGradients(batch, state);
  const at::NoGradGuard no_grad;

  // From here on a rank holds one slice of the gradient, summed over all ranks.
  ASSIGN_OR_RETURN(const at::Tensor slice,
                   shards.ReduceScatter(state.parameters.gradients));

  // All scalars of the step travel in one reduction.
  constexpr int64_t kScalars = 4;
  at::Tensor sums = at::zeros(
      {kScalars + objective::WeightStatistics::kNumSums}, at::kDouble);
  double* sum = sums.data_ptr<double>();
  sum[0] = loss_sum;
  sum[1] = SumOfSquares(slice);
  sum[2] = static_cast<double>(batch.tokens);
  sum[3] = static_cast<double>(batch.computed_tokens);
  const auto statistics = outcome.statistics.sums();
  std::copy(statistics.begin(), statistics.end(), sum + kScalars);
  RETURN_IF_ERROR(group.AllReduceSum(sums));
  std::copy_n(sum + kScalars, statistics.size(), statistics.begin());

  // The divisor comes from the data plan; it does not depend on the split.
  outcome.loss = sum[0] / batch.divisor;
  outcome.grad_norm = std::sqrt(sum[1]) / batch.divisor;
  outcome.tokens = static_cast<uint64_t>(sum[2]);
  outcome.computed_tokens = static_cast<uint64_t>(sum[3]);

  // Every rank has the same norm: all of them update, or none.
  outcome.skipped = !std::isfinite(outcome.grad_norm);
  if (outcome.skipped) return outcome;
  const double scale =
      optim::ClipFactor(outcome.grad_norm, state.max_grad_norm) / batch.divisor;
  optim::AdamWStep(slice, scale, learning_rate, state.adamw_options,
                   state.adamw);
  RETURN_IF_ERROR(shards.AllGather(state.parameters.flat));
  return outcome;
}

}  // namespace varalign::worker
