// From the log-probabilities of a micro-batch to the weights that make its
// weighted likelihood's gradient that of a loss over whole responses.
#ifndef VARALIGN_WORKER_POLICY_WEIGHER_H_
#define VARALIGN_WORKER_POLICY_WEIGHER_H_

#include <ATen/core/Tensor.h>

#include <cstdint>
#include <span>
#include <vector>

#include "objective/policy_loss.h"
#include "objective/weighted_nll.h"
#include "worker/micro_batch.h"

namespace varalign::worker {

// Weighs the micro-batch's loss rows prompt by prompt: a row's weight is
// -dL/dlog pi of its response, so that a rejected one has negative weights.
// Adds the pairs to `sums`. Both references outlive the weigher; not thread
// safe. `loss` of WeightedNllLoss is then the sum over the prompts.
class PolicyWeigher final : public objective::RowWeigher {
 public:
  PolicyWeigher(const std::vector<std::vector<objective::PolicyRow>>& prompts,
                const objective::PolicyLossFunction& loss_function,
                objective::PreferenceSums& sums);

  // Prompts share a piece while they fit a chunk; a prompt is never cut.
  std::vector<int64_t> PieceEnds() const override;

  double Weigh(int64_t begin, const at::Tensor& nll,
               at::Tensor& weights) override;

 private:
  const objective::PolicyLossFunction& loss_function_;
  objective::PreferenceSums& sums_;
  std::span<const std::vector<objective::PolicyRow>> rest_;  // not yet weighed
  std::vector<int64_t> prompt_rows_;  // loss rows of each prompt
};

}  // namespace varalign::worker

#endif  // VARALIGN_WORKER_POLICY_WEIGHER_H_
