#include "objective/a_lol.h"

#include <cmath>
#include <limits>

#include "objective/policy_loss.h"
#include "tests/objective/rules.h"

namespace varalign::objective {
namespace {

using ::testing::HasSubstr;
using v1::Objective;
using ::varalign::testing::StatusIs;

Objective ALolRule(
    Objective::ALol::Variant variant,
    Objective::ALol::Value value = Objective::ALol::VALUE_PROMPT_MEAN) {
  Objective rule;
  rule.set_kind(Objective::KIND_A_LOL);
  rule.mutable_a_lol()->set_variant(variant);
  rule.mutable_a_lol()->set_value(value);
  return ResolveObjective(rule).value();
}

PolicyRow Row(double logprob, double reference, double advantage) {
  return {.logprob = logprob,
          .reference_logprob = reference,
          .num_tokens = 10,
          .advantage = advantage};
}

// sigmoid(1), sigmoid(-0.5), sigmoid(2) minus their mean.
TEST(LogAdvantagesTest, AreRewardsAboveTheMeanOfThePrompt) {
  const Vector kSigmoid = {0.731058579, 0.377540669, 0.880797078};
  const double mean = Mean(kSigmoid);
  ASSERT_OK_AND_ASSIGN(
      const ZSetWeights weights,
      LogWeights(Rewards({1, -0.5, 2}), ALolRule(Objective::ALol::VARIANT_KL)));
  EXPECT_THAT(Exp(weights.log_weights),
              AllNear(Vector{kSigmoid[0] - mean, 0, kSigmoid[2] - mean}, 1e-9));
  EXPECT_EQ(weights.log_weights[1], -std::numeric_limits<double>::infinity());
  const double a = kSigmoid[0] - mean, b = kSigmoid[2] - mean;
  EXPECT_NEAR(weights.ess, (a + b) * (a + b) / (a * a + b * b), 1e-7);
}

TEST(LogAdvantagesTest, WithoutAValueAreTheRewards) {
  EXPECT_THAT(
      Weights(Rewards({1, -0.5, 2}), ALolRule(Objective::ALol::VARIANT_REF_FREE,
                                              Objective::ALol::VALUE_NONE)),
      AllNear(Vector{0.731058579, 0.377540669, 0.880797078}, 1e-9));
}

TEST(LogAdvantagesTest, EqualRewardsLeaveNothing) {
  ASSERT_OK_AND_ASSIGN(
      const ZSetWeights weights,
      LogWeights(Rewards({3, 3}), ALolRule(Objective::ALol::VARIANT_KL)));
  EXPECT_EQ(Exp(weights.log_weights), (Vector{0, 0}));
  EXPECT_EQ(weights.ess, 0);
}

TEST(LogAdvantagesTest, RewardThatIsNotFiniteIsAnError) {
  EXPECT_THAT(LogWeights(Rewards({1, std::nan("")}),
                         ALolRule(Objective::ALol::VARIANT_KL)),
              StatusIs(absl::StatusCode::kDataLoss, HasSubstr("row 1")));
}

// A = (0.131059, 0.180797), rho = (1.648721, 0.367879).
TEST(ALolLossTest, EqualsTheFixtureOfTheMethod) {
  const PolicyLoss loss =
      ALolLossOf(std::vector<PolicyRow>{Row(-20, -20.5, 0.131058579),
                                        Row(-41, -40, 0.180797078)},
                 ALolRule(Objective::ALol::VARIANT_SEQUENCE));
  EXPECT_NEAR(loss.loss / 2, 3.524277, 1e-6);
  EXPECT_NEAR(loss.gradients[0], -0.131058579 * 1.648721271, 1e-9);
  EXPECT_NEAR(loss.gradients[1], -0.180797078 * 0.367879441, 1e-9);
}

TEST(ALolLossTest, RatioIsHeldWithinItsBounds) {
  const PolicyLoss loss =
      ALolLossOf(std::vector<PolicyRow>{Row(-10, -13, 1), Row(-10, -5, 1),
                                        Row(-10, -2000, 1), Row(-2000, -10, 1)},
                 ALolRule(Objective::ALol::VARIANT_SEQUENCE));
  EXPECT_THAT(loss.gradients, AllNear(Vector{-1.9, -0.1, -1.9, -0.1}, 1e-12));
}

TEST(ALolLossTest, PenaltyOfTheKlVariantIsOfTheLogRatio) {
  const Objective rule = ALolRule(Objective::ALol::VARIANT_KL);
  const double b = rule.a_lol().kl_coefficient();
  const PolicyLoss loss =
      ALolLossOf(std::vector<PolicyRow>{Row(-20, -18, 0.5)}, rule);
  EXPECT_NEAR(loss.loss, 0.5 * 20 + b * (-20 + 18), 1e-12);
  EXPECT_NEAR(loss.gradients[0], b - 0.5, 1e-12);
}

TEST(ALolLossTest, SequenceMeanDividesByTheTokens) {
  for (const auto variant :
       {Objective::ALol::VARIANT_SEQUENCE, Objective::ALol::VARIANT_KL}) {
    Objective rule = ALolRule(variant);
    const std::vector<PolicyRow> rows = {Row(-20, -19.5, 0.5)};
    const PolicyLoss sum = ALolLossOf(rows, rule);
    rule.set_loss_reduction(Objective::LOSS_REDUCTION_SEQUENCE_MEAN);
    const PolicyLoss mean = ALolLossOf(rows, rule);
    EXPECT_NEAR(mean.loss, sum.loss / 10, 1e-12);
    EXPECT_NEAR(mean.gradients[0], sum.gradients[0] / 10, 1e-12);
  }
}

TEST(PolicyLossTest, VariantsWithoutAReferenceAreConstantWeights) {
  EXPECT_TRUE(IsWeighedByPolicy(ALolRule(Objective::ALol::VARIANT_SEQUENCE)));
  EXPECT_TRUE(IsWeighedByPolicy(ALolRule(Objective::ALol::VARIANT_KL)));
  const Objective ref_free = ALolRule(Objective::ALol::VARIANT_REF_FREE);
  EXPECT_FALSE(IsWeighedByPolicy(ref_free));
  EXPECT_FALSE(PolicyLossFunctionOf(ref_free));
  EXPECT_FALSE(IsWeighedByPolicy(Preset(Objective::PRESET_VAR)));
}

TEST(ResolveALolTest, NeedsTheReferenceWhereItIsComparedWith) {
  const Objective sequence = ALolRule(Objective::ALol::VARIANT_SEQUENCE);
  EXPECT_TRUE(NeedsRewards(sequence));
  EXPECT_TRUE(NeedsLogProbs(sequence));
  EXPECT_FALSE(NeedsRewardSd(sequence));
  EXPECT_FALSE(NeedsLogProbs(ALolRule(Objective::ALol::VARIANT_REF_FREE)));
  ASSERT_OK_AND_ASSIGN(const Objective twice, ResolveObjective(sequence));
  EXPECT_EQ(twice.SerializeAsString(), sequence.SerializeAsString());
}

TEST(ResolveALolTest, RefusesKeysOfOtherKindsAndBadNumbers) {
  const struct {
    void (*edit)(Objective&);
    const char* named;
  } kCases[] = {
      {[](Objective& o) { o.set_lambda(0.5); }, "objective.lambda"},
      {[](Objective& o) { o.set_beta(0.5); }, "objective.beta"},
      {[](Objective& o) { o.mutable_a_lol()->set_clip(0); }, "a_lol.clip"},
      {[](Objective& o) { o.mutable_a_lol()->set_clip(1.5); }, "a_lol.clip"},
      {[](Objective& o) { o.mutable_a_lol()->set_kl_coefficient(-1); },
       "a_lol.kl_coefficient"},
  };
  for (const auto& [edit, named] : kCases) {
    Objective objective;
    objective.set_kind(Objective::KIND_A_LOL);
    edit(objective);
    EXPECT_THAT(ResolveObjective(objective),
                StatusIs(absl::StatusCode::kInvalidArgument, HasSubstr(named)));
  }
  Objective var;
  var.mutable_a_lol()->set_clip(0.5);
  EXPECT_THAT(ResolveObjective(var),
              StatusIs(absl::StatusCode::kInvalidArgument,
                       HasSubstr("objective.a_lol has no effect")));
}

}  // namespace
}  // namespace varalign::objective
