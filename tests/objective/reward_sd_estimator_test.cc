#include "tests/objective/rules.h"

namespace varalign::objective {
namespace {

using ::testing::HasSubstr;
using ::varalign::testing::StatusIs;

RewardSdEstimator Fed(const std::vector<Vector>& prompts) {
  RewardSdEstimator estimator;
  for (const Vector& rewards : prompts) estimator.AddPrompt(rewards);
  return estimator;
}

TEST(RewardSdEstimatorTest, PoolsWithinPrompts) {
  const RewardSdEstimator estimator = Fed({{1, 2, 0}, {5, 6}, {-1, -1, -1, 3}});
  EXPECT_NEAR(estimator.Sd().value(), 1.554563176, 1e-9);
  EXPECT_FALSE(estimator.only_singles());
}

TEST(RewardSdEstimatorTest, FallsBackToAllRewardsWhereEveryPromptHasOne) {
  const RewardSdEstimator estimator =
      Fed({{1}, {2}, {0}, {5}, {6}, {-1}, {-1}, {-1}, {3}});
  EXPECT_NEAR(estimator.Sd().value(), 2.650996, 1e-6);
  EXPECT_TRUE(estimator.only_singles());
}

TEST(RewardSdEstimatorTest, SinglesDoNotCountBesideGroups) {
  EXPECT_EQ(Fed({{1, 2, 0}, {100}}).Sd().value(), 1);
}

TEST(RewardSdEstimatorTest, KeepsItsDigitsFarFromZero) {
  EXPECT_NEAR(Fed({{1e9 + 1}, {1e9 + 2}, {1e9}}).Sd().value(), 1, 1e-6);
}

TEST(RewardSdEstimatorTest, NoSpreadIsAnErrorWithARemedy) {
  for (const auto& prompts : {std::vector<Vector>{},
                              {{1}},
                              {{2, 2}, {5, 5}},
                              {{0.1, 0.1, 0.1}, {-0.7, -0.7, -0.7}}}) {
    EXPECT_THAT(Fed(prompts).Sd(),
                StatusIs(absl::StatusCode::kFailedPrecondition,
                         HasSubstr("lambda_unit: raw")));
  }
}

}  // namespace
}  // namespace varalign::objective
