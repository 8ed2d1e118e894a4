#include "objective/preference.h"

#include <cmath>
#include <limits>

#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "objective/log_weights.h"
#include "tests/testing/status_matchers.h"

namespace varalign::objective {
namespace {

using base::Role;
using ::testing::HasSubstr;
using ::varalign::testing::StatusIs;

constexpr PolicyRow kChosen = {-50, -52, 20, Role::kChosen};
constexpr PolicyRow kRejected = {-60, -61, 25, Role::kRejected};

PolicyLoss LossOf(const std::vector<PolicyRow>& rows,
                  const PreferenceOptions& options = {}) {
  PreferenceSums sums;
  return PreferenceLossOf(rows, options, sums);
}

TEST(PreferenceLossTest, EqualsTheFixtureOfTheMethod) {
  const PolicyLoss loss = LossOf({kChosen, kRejected});
  EXPECT_NEAR(loss.loss, 0.644396660, 1e-9);
  EXPECT_NEAR(loss.gradients[0], -0.047502081, 1e-9);
  EXPECT_NEAR(loss.gradients[1], 0.047502081, 1e-9);
}

// h = 0.1: 0.8 * softplus(-0.1) + 0.2 * softplus(0.1), with
// softplus(0.1) = 0.644396660 + 0.1.
TEST(PreferenceLossTest, SmoothedLabelsMixBothWays) {
  const PolicyLoss loss =
      LossOf({kChosen, kRejected}, {.label_smoothing = 0.2});
  EXPECT_NEAR(loss.loss, 0.664396660, 1e-9);
  // 0.1 * (0.2 - sigmoid(-0.1)), sigmoid(-0.1) = 0.475020813
  EXPECT_NEAR(loss.gradients[0], -0.027502081, 1e-9);
}

TEST(PreferenceLossTest, EvenLabelsLeaveEqualRewardsAlone) {
  const PolicyRow chosen = {-5, -5, 3, Role::kChosen};
  const PolicyRow rejected = {-9, -9, 3, Role::kRejected};
  const PolicyLoss loss = LossOf({chosen, rejected}, {.label_smoothing = 0.5});
  EXPECT_NEAR(loss.loss, std::log(2), 1e-15);
  EXPECT_EQ(loss.gradients[0], 0);
}

TEST(PreferenceLossTest, SftMixAddsTheChosenLikelihoodPerToken) {
  const PolicyLoss plain = LossOf({kChosen, kRejected});
  const PolicyLoss mixed = LossOf({kChosen, kRejected}, {.sft_mix = 0.5});
  EXPECT_NEAR(mixed.loss - plain.loss, 0.5 * 50 / 20, 1e-12);
  EXPECT_NEAR(mixed.gradients[0] - plain.gradients[0], -0.5 / 20, 1e-12);
  EXPECT_EQ(mixed.gradients[1], plain.gradients[1]);
}

// Two chosen, two rejected: the mean of the four pairs' own losses.
TEST(PreferenceLossTest, GroupIsTheMeanOfItsPairs) {
  const PolicyRow other_chosen = {-44, -43, 11, Role::kChosen};
  const PolicyRow other_rejected = {-70, -66, 9, Role::kRejected};
  const std::vector<PolicyRow> rows = {kRejected, kChosen, other_rejected,
                                       other_chosen};
  double expected = 0;
  for (const PolicyRow& chosen : {kChosen, other_chosen}) {
    for (const PolicyRow& rejected : {kRejected, other_rejected}) {
      expected += LossOf({chosen, rejected}).loss / 4;
    }
  }
  EXPECT_NEAR(LossOf(rows).loss, expected, 1e-14);
}

TEST(PreferenceLossTest, GradientsAreThoseOfFiniteDifferences) {
  const PreferenceOptions options = {
      .beta = 0.7, .label_smoothing = 0.1, .sft_mix = 0.3};
  std::vector<PolicyRow> rows = {{-5, -5.5, 4, Role::kRejected},
                                 {-7, -6.5, 5, Role::kChosen},
                                 {-3, -4.0, 2, Role::kRejected},
                                 {-6, -6.0, 3, Role::kUnknown},
                                 {-4, -4.2, 3, Role::kChosen}};
  const PolicyLoss loss = LossOf(rows, options);
  constexpr double kDelta = 1e-6;
  for (size_t k = 0; k < rows.size(); ++k) {
    const double at = rows[k].logprob;
    rows[k].logprob = at + kDelta;
    const double above = LossOf(rows, options).loss;
    rows[k].logprob = at - kDelta;
    const double below = LossOf(rows, options).loss;
    rows[k].logprob = at;
    EXPECT_NEAR(loss.gradients[k], (above - below) / (2 * kDelta), 1e-8) << k;
  }
  EXPECT_EQ(loss.gradients[3], 0);
}

TEST(PreferenceLossTest, PromptWithoutAPairTeachesNothing) {
  PreferenceSums sums;
  const PolicyLoss loss = PreferenceLossOf(
      std::vector<PolicyRow>{kChosen, kChosen}, {.sft_mix = 1}, sums);
  EXPECT_EQ(loss.loss, 0);
  EXPECT_EQ(loss.gradients[0], 0);
  EXPECT_EQ(sums.pairs(), 0u);
  EXPECT_EQ(sums.Mean(PreferenceSums::kRight), 0);
}

TEST(PreferenceLossTest, FarRewardsStayFinite) {
  for (const double far : {-1e6, 1e6}) {
    const PolicyLoss loss =
        LossOf({{far, 0, 1, Role::kChosen}, {0, 0, 1, Role::kRejected}});
    EXPECT_NEAR(loss.loss, far < 0 ? 1e5 : 0, 1e-9);
    EXPECT_NEAR(loss.gradients[0], far < 0 ? -0.1 : 0, 1e-12);
  }
}

TEST(PreferenceSumsTest, ShowsMeansOverPairs) {
  PreferenceSums sums;
  sums.AddPair(kChosen, kRejected, 0.1);                      // 0.2 against 0.1
  sums.AddPair({-10, -9, 5, Role::kChosen}, kRejected, 0.1);  // -0.1: wrong
  using Sums = PreferenceSums;
  EXPECT_EQ(sums.pairs(), 2u);
  EXPECT_DOUBLE_EQ(sums.Mean(Sums::kRight), 0.5);
  EXPECT_NEAR(sums.Mean(Sums::kChosenReward), 0.05, 1e-12);
  EXPECT_NEAR(sums.Mean(Sums::kRejectedReward), 0.1, 1e-12);
  EXPECT_DOUBLE_EQ(sums.Mean(Sums::kChosenLogprob), -30);
  EXPECT_DOUBLE_EQ(sums.Mean(Sums::kRejectedLogprob), -60);
}

v1::Objective Dpo() {
  v1::Objective objective;
  objective.set_kind(v1::Objective::KIND_DPO);
  return objective;
}

TEST(ResolveDpoTest, NeedsReferenceLogProbsAlone) {
  ASSERT_OK_AND_ASSIGN(const v1::Objective rule, ResolveObjective(Dpo()));
  EXPECT_DOUBLE_EQ(rule.beta(), 0.1);
  EXPECT_TRUE(NeedsLogProbs(rule));
  EXPECT_FALSE(NeedsRewards(rule));
  EXPECT_FALSE(NeedsRewardSd(rule));
}

TEST(ResolveDpoTest, ResolvedIsResolvedAgainUnchanged) {
  ASSERT_OK_AND_ASSIGN(const v1::Objective rule, ResolveObjective(Dpo()));
  ASSERT_OK_AND_ASSIGN(const v1::Objective again, ResolveObjective(rule));
  EXPECT_EQ(again.SerializeAsString(), rule.SerializeAsString());
}

TEST(ResolveDpoTest, KeyOfTheWeightsIsRefusedByName) {
  v1::Objective objective = Dpo();
  objective.set_lambda(0.5);
  EXPECT_THAT(ResolveObjective(objective),
              StatusIs(absl::StatusCode::kInvalidArgument,
                       HasSubstr("objective.lambda has no effect with "
                                 "objective.kind dpo")));
  v1::Objective weighted;
  weighted.set_beta(0.2);
  EXPECT_THAT(ResolveObjective(weighted),
              StatusIs(absl::StatusCode::kInvalidArgument,
                       HasSubstr("objective.beta has no effect")));
}

TEST(ResolveDpoTest, NumbersOutOfRangeAreRefused) {
  for (const double beta :
       {0.0, -1.0, std::numeric_limits<double>::quiet_NaN()}) {
    v1::Objective objective = Dpo();
    objective.set_beta(beta);
    EXPECT_FALSE(ResolveObjective(objective).ok()) << beta;
  }
  v1::Objective smooth = Dpo();
  smooth.set_label_smoothing(0.6);
  EXPECT_FALSE(ResolveObjective(smooth).ok());
  v1::Objective mixed = Dpo();
  mixed.set_sft_mix(-1);
  EXPECT_FALSE(ResolveObjective(mixed).ok());
}

}  // namespace
}  // namespace varalign::objective
