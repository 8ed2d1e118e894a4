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

// The gradients of all micro-batches add up in `state.parameters.gradients`.
// Returns sum(w nll) of this rank.
absl::StatusOr<double> AccumulateGradients(const LocalBatch& batch,
                                           FlatShards& shards,
                                           TrainState& state) {
  const at::Tensor& gradients = state.parameters.gradients;
  gradients.zero_();
  double loss_sum = 0;
  for (const MicroBatch& micro : batch.micro_batches) {
    // In the last backward pass a bucket leaves as soon as it is full.
    if (&micro == &batch.micro_batches.back()) {
      shards.SendFullBuckets(gradients);
    }
    const at::Tensor hidden =  // [R, H], loss rows only
        model::Forward(state.parameters, micro.packed.tokens,
                       micro.packed.layout, micro.packed.loss_positions,
                       state.recompute);
    const objective::WeightedNll loss =  // a sum, not a mean
        objective::WeightedNllLoss(hidden, state.parameters.lm_head,
                                   micro.packed.targets, micro.weights);
    RETURN_IF_ERROR(shards.status());  // the parameters have all come
    loss.loss.backward();
    loss_sum += loss.loss.item<double>();
  }
  shards.SendAllBuckets(gradients);
  return loss_sum;
}

// What a step sums over all ranks beside the gradient, in one reduction.
struct StepSums {
  double loss = 0;     // sum(w nll)
  double squares = 0;  // of the reduced gradient
  double tokens = 0;
  double computed_tokens = 0;
  objective::WeightStatistics statistics;
};

absl::Status SumOverRanks(FlatShards& shards, StepSums& sums) {
  constexpr int64_t kScalars = 4;
  at::Tensor all = at::zeros({kScalars + objective::WeightStatistics::kNumSums},
                             at::kDouble);
  double* const sum = all.data_ptr<double>();
  sum[0] = sums.loss;
  sum[1] = sums.squares;
  sum[2] = sums.tokens;
  sum[3] = sums.computed_tokens;
  const auto statistics = sums.statistics.sums();
  std::copy(statistics.begin(), statistics.end(), sum + kScalars);
  RETURN_IF_ERROR(shards.AllReduceSum(all));
  sums.loss = sum[0];
  sums.squares = sum[1];
  sums.tokens = sum[2];
  sums.computed_tokens = sum[3];
  std::copy_n(sum + kScalars, statistics.size(), statistics.begin());
  return absl::OkStatus();
}

// Bucket by bucket, each on its way to all ranks while the next is updated.
absl::Status Update(const std::vector<at::Tensor>& slices, double scale,
                    double learning_rate, FlatShards& shards,
                    TrainState& state) {
  for (size_t bucket = 0; bucket < slices.size(); ++bucket) {
    optim::AdamWStep(slices[bucket], scale, learning_rate, state.adamw_options,
                     state.adamw[bucket]);
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
                .statistics = batch.statistics};
  ASSIGN_OR_RETURN(sums.loss, AccumulateGradients(batch, shards, state));
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
      .statistics = sums.statistics};

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
