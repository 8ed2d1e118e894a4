#include "objective/target_kl.h"

#include "tests/objective/rules.h"

namespace varalign::objective {
namespace {

using ::testing::HasSubstr;
using v1::Objective;
using ::varalign::testing::StatusIs;

TargetKlSolver Solver(const std::vector<Vector>& prompts) {
  TargetKlSolver solver;
  for (const Vector& rewards : prompts) solver.AddPrompt(rewards);
  return solver;
}

TEST(TargetKlTest, EqualsTheFixtureOfTheMethod) {
  const TargetKlSolver solver = Solver({{1, 2, 0}});
  ASSERT_OK_AND_ASSIGN(const double lambda, solver.Lambda(0.1));
  EXPECT_NEAR(lambda, 1.755735080, 1e-9);
  EXPECT_THAT(
      Weights(Rewards({1, 2, 0}), Rule(Objective::REF_LOGP_NONE, lambda)),
      AllNear(Vector{0.900018, 1.590776, 0.509206}, 1e-6));
  ASSERT_OK_AND_ASSIGN(const double sharper, solver.Lambda(0.5));
  EXPECT_NEAR(sharper, 0.641914675, 1e-9);
}

// The dual's value at the solution is below its neighbours': its minimum.
TEST(TargetKlTest, SolvesTheDualOverPrompts) {
  const std::vector<Vector> prompts = {
      {1, 2, 0}, {5, 9}, {-3, -3.5, 1, 4}, {7}};
  const double eps = 0.3;
  const auto dual = [&](double lambda) {
    double sum = 0;
    for (const Vector& rewards : prompts) {
      if (rewards.size() < 2) continue;
      double z = 0;
      for (const double r : rewards) z += std::exp(r / lambda);
      sum += std::log(z / static_cast<double>(rewards.size())) / 3;
    }
    return lambda * (eps + sum);
  };
  ASSERT_OK_AND_ASSIGN(const double lambda, Solver(prompts).Lambda(eps));
  EXPECT_LT(dual(lambda), dual(lambda * 1.001));
  EXPECT_LT(dual(lambda), dual(lambda * 0.999));
}

TEST(TargetKlTest, FollowsTheUnitOfTheReward) {
  ASSERT_OK_AND_ASSIGN(const double one, Solver({{1, 2, 0}}).Lambda(0.2));
  ASSERT_OK_AND_ASSIGN(const double large, Solver({{1e6, 2e6, 0}}).Lambda(0.2));
  EXPECT_NEAR(large / one, 1e6, 1e-4);
}

TEST(TargetKlTest, WhatNoLambdaReachesIsAnError) {
  EXPECT_THAT(Solver({{1, 2}}).Lambda(0.7),  // log 2 = 0.693
              StatusIs(absl::StatusCode::kFailedPrecondition,
                       HasSubstr("objective.target_kl is above")));
  EXPECT_OK(Solver({{1, 2}}).Lambda(0.69).status());
  // Two of three share the best place: log(3/2) = 0.405.
  EXPECT_THAT(Solver({{2, 2, 1}}).Lambda(0.41),
              StatusIs(absl::StatusCode::kFailedPrecondition,
                       HasSubstr("objective.target_kl is above")));
  EXPECT_THAT(Solver({{2, 2}, {3}}).Lambda(0.1),
              StatusIs(absl::StatusCode::kFailedPrecondition,
                       HasSubstr("different, finite rewards")));
}

}  // namespace
}  // namespace varalign::objective
