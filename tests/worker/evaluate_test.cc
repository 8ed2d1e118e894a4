#include "worker/evaluate.h"

#include <cmath>

#include "gmock/gmock.h"
#include "gtest/gtest.h"

namespace varalign::worker {
namespace {

// One prompt with four responses: pi_ref = (0.4, 0.3, 0.2, 0.1), r = (0, 1, 0.5, 2).
std::vector<objective::Score> Tabular() {
  std::vector<objective::Score> scores;
  const double p[] = {0.4, 0.3, 0.2, 0.1}, r[] = {0, 1, 0.5, 2};
  for (int k = 0; k < 4; ++k) {
    scores.push_back(
        {.reward = r[k], .logprob_sum = std::log(p[k]), .num_tokens = 2});
  }
  return scores;
}

const Optimum kLambdaOne = {.is_known = true, .lambda_raw = 1};

TEST(EvaluateTest, ReferenceItselfHasNoDivergence) {
  const auto scores = Tabular();
  std::vector<double> policy;
  for (const auto& score : scores) policy.push_back(score.logprob_sum);
  const EvaluationSums sums = SumsOf(scores, policy, kLambdaOne);
  EXPECT_NEAR(sums.expected_reward, 0.6, 1e-12);
  EXPECT_NEAR(sums.kl, 0, 1e-12);
  EXPECT_NEAR(sums.log_mass, 0, 1e-12);
  EXPECT_NEAR(sums.optimum_reward, 1.076192, 1e-6);
  EXPECT_NEAR(sums.optimum_kl, 0.250205, 1e-6);
  EXPECT_GT(sums.kl_to_optimum, 0.1);
  EXPECT_EQ(sums.tokens, 8);
  EXPECT_EQ(sums.pairs, 6);
  // p falls with the index; the reward orders 3 > 1 > 2 > 0.
  EXPECT_EQ(sums.pairs_right, 1);
}

TEST(EvaluateTest, OptimumReachesItsOwnNumbersWhateverItsMass) {
  const auto scores = Tabular();
  std::vector<double> policy;
  for (const auto& score : scores) {
    policy.push_back(score.logprob_sum + score.reward - 700);  // mass e^-700
  }
  const EvaluationSums sums = SumsOf(scores, policy, kLambdaOne);
  EXPECT_NEAR(sums.expected_reward, sums.optimum_reward, 1e-12);
  EXPECT_NEAR(sums.kl, sums.optimum_kl, 1e-12);
  EXPECT_NEAR(sums.kl_to_optimum, 0, 1e-12);
  EXPECT_NEAR(sums.log_mass, std::log(2.284134413) - 700, 1e-8);
  EXPECT_EQ(sums.pairs_right, 4);
}

TEST(EvaluateTest, EqualRewardsMakeNoPair) {
  auto scores = Tabular();
  for (auto& score : scores) score.reward = 1;
  const std::vector<double> policy = {-1, -2, -3, -4};
  EXPECT_EQ(SumsOf(scores, policy, {}).pairs, 0);
}

}  // namespace
}  // namespace varalign::worker
