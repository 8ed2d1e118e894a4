// The method as a whole on a policy that is a table: weights by the objective,
// loss by weighted_nll, and what minimises it.
#include <ATen/ATen.h>

#include "objective/weighted_nll.h"
#include "tests/objective/rules.h"

namespace varalign::objective {
namespace {

using v1::Objective;

// pi_ref = (0.4, 0.3, 0.2, 0.1), r = (0, 1, 0.5, 2), lambda = 1.
const Vector kReference = {0.4, 0.3, 0.2, 0.1};
const Vector kReward = {0, 1, 0.5, 2};
const Vector kOptimum = {0.175121043, 0.357021261, 0.144362894, 0.323494802};
constexpr double kOptimumEntropy = 1.317317928;

std::vector<Score> AllResponses() {
  std::vector<Score> scores;
  for (size_t y = 0; y < 4; ++y) {
    scores.push_back({kReward[y], std::log(kReference[y]), 1});
  }
  return scores;
}

at::Tensor OptimalWeights() {
  Objective rule = Rule(Objective::REF_LOGP_SUM);
  rule.set_convention(Objective::CONVENTION_SUM);
  const Vector w = Weights(AllResponses(), rule);
  return at::tensor(w, at::kDouble);
}

// The loss of the policy softmax(logits), [4], over all responses.
at::Tensor TabularLoss(const at::Tensor& logits, const at::Tensor& weights) {
  return WeightedNllLoss(at::ones({4, 1}, at::kDouble), logits.unsqueeze(1),
                         at::arange(4, at::kLong), weights)
      .loss;
}

TEST(OptimumTest, TheUniformPolicyHasTheKnownLossAndGradient) {
  const at::Tensor logits = at::zeros({4}, at::kDouble).requires_grad_();
  const at::Tensor loss = TabularLoss(logits, OptimalWeights());
  loss.backward();
  EXPECT_NEAR(loss.item<double>(), kOptimumEntropy + 0.068976433, 1e-9);
  const at::Tensor expected = at::tensor(
      {0.074878957, -0.107021261, 0.105637106, -0.073494802}, at::kDouble);
  EXPECT_LT((logits.grad() - expected).abs().max().item<double>(), 1e-9);
}

TEST(OptimumTest, DescentEndsAtTheOptimum) {
  const at::Tensor weights = OptimalWeights();
  const at::Tensor logits = at::zeros({4}, at::kDouble).requires_grad_();
  double loss_value = 0;
  for (int step = 0; step < 400; ++step) {
    logits.mutable_grad().reset();
    const at::Tensor loss = TabularLoss(logits, weights);
    loss.backward();
    loss_value = loss.item<double>();
    logits.detach().sub_(logits.grad(), 1.0);
  }
  const at::Tensor policy = at::softmax(logits.detach(), 0);
  for (int64_t y = 0; y < 4; ++y) {
    EXPECT_NEAR(policy[y].item<double>(), kOptimum[static_cast<size_t>(y)],
                1e-6);
  }
  EXPECT_NEAR(loss_value, kOptimumEntropy, 1e-6);
  EXPECT_LT(logits.grad().abs().max().item<double>(), 1e-6);
}

TEST(OptimumTest, LossIsEntropyPlusDivergenceForEveryPolicy) {
  const at::Tensor weights = OptimalWeights();
  at::manual_seed(11);
  for (int i = 0; i < 20; ++i) {
    const at::Tensor logits = at::randn({4}, at::kDouble) * 3;
    const at::Tensor log_policy = at::log_softmax(logits, 0);
    const double divergence =
        (weights * (weights.log() - log_policy)).sum().item<double>();
    EXPECT_NEAR(TabularLoss(logits, weights).item<double>() - kOptimumEntropy,
                divergence, 1e-8);
  }
}

TEST(OptimumTest, GradientIsWeightMassTimesPolicyMinusWeights) {
  Objective rule = Rule(Objective::REF_LOGP_MEAN);  // mean convention: W = 4
  const Vector w = Weights(AllResponses(), rule);
  const at::Tensor weights = at::tensor(w, at::kDouble);
  at::manual_seed(12);
  const at::Tensor logits = at::randn({4}, at::kDouble).requires_grad_();
  TabularLoss(logits, weights).backward();
  const at::Tensor expected =
      weights.sum() * at::softmax(logits.detach(), 0) - weights;
  EXPECT_LT((logits.grad() - expected).abs().max().item<double>(), 1e-12);
}

TEST(OptimumTest, EqualRewardsAndLargeLambdaAreSft) {
  at::manual_seed(13);
  const at::Tensor logits = at::randn({4}, at::kDouble).requires_grad_();
  const auto gradient = [&](const at::Tensor& weights) {
    logits.mutable_grad().reset();
    TabularLoss(logits, weights).backward();
    return logits.grad().clone();
  };
  const at::Tensor sft = gradient(at::ones({4}, at::kDouble));
  for (const Vector& w :
       {Weights(AllResponses(), Rule(Objective::REF_LOGP_NONE, 1e9)),
        Weights(Rewards({3, 3, 3, 3}), Rule(Objective::REF_LOGP_NONE))}) {
    const at::Tensor weighted = gradient(at::tensor(w, at::kDouble));
    EXPECT_LT((weighted - sft).abs().max().item<double>(), 1e-6);
  }
}

}  // namespace
}  // namespace varalign::objective
