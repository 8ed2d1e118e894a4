#include "objective/loss_scale.h"

#include "tests/objective/rules.h"

namespace varalign::objective {
namespace {

using v1::Objective;

constexpr PlannedCounts kCounts = {
    .trained_rows = 12, .trained_tokens = 900, .z_sets = 4};

TEST(LossScaleTest, DividesByWhatTheConventionAverages) {
  Objective rule = Preset(Objective::PRESET_VAR);
  EXPECT_EQ(Divisor(kCounts, rule), 12);
  rule.set_loss_reduction(Objective::LOSS_REDUCTION_TOKEN_MEAN);
  EXPECT_EQ(Divisor(kCounts, rule), 900);
  rule.set_loss_reduction(Objective::LOSS_REDUCTION_SEQUENCE_MEAN);
  EXPECT_EQ(Divisor(kCounts, rule), 12);
  rule.set_convention(Objective::CONVENTION_SUM);
  EXPECT_EQ(Divisor(kCounts, rule), 4);
  EXPECT_EQ(Divisor({}, rule), 1);
}

TEST(LossScaleTest, SequenceMeanDividesTheWeightByTheTokens) {
  Objective rule = Preset(Objective::PRESET_VAR);
  EXPECT_EQ(TokenWeight(std::log(3.0), 4, rule), std::exp(std::log(3.0)));
  rule.set_loss_reduction(Objective::LOSS_REDUCTION_SEQUENCE_MEAN);
  EXPECT_NEAR(TokenWeight(std::log(3.0), 4, rule), 0.75, 1e-15);
}

TEST(LossScaleTest, MeanAndSumAreOneLossWhereSetsAreEqual) {
  const std::vector<Score> z_set = Rewards({1, 2, 0});
  const double nll[] = {3, 5, 7};
  const auto loss = [&](Objective::Convention convention) {
    Objective rule = Rule(Objective::REF_LOGP_NONE);
    rule.set_convention(convention);
    double sum = 0;
    const ZSetWeights weights = LogWeights(z_set, rule).value();
    for (size_t k = 0; k < 3; ++k) {
      sum += TokenWeight(weights.log_weights[k], 1, rule) * nll[k];
    }
    return sum / Divisor({.trained_rows = 3, .z_sets = 1}, rule);
  };
  EXPECT_NEAR(loss(Objective::CONVENTION_MEAN), loss(Objective::CONVENTION_SUM),
              1e-14);
}

}  // namespace
}  // namespace varalign::objective
