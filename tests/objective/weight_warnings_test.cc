#include "objective/weight_warnings.h"

#include <random>

#include "tests/objective/rules.h"

namespace varalign::objective {
namespace {

using ::testing::AllOf;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::Not;
using v1::Objective;
using ::varalign::testing::StatusIs;

constexpr ZSetCounts kPairs = {.rows = 200, .z_sets = 100, .reward_sd = 2.0};

std::vector<std::string> Codes(const std::vector<Warning>& warnings) {
  std::vector<std::string> codes;
  for (const Warning& warning : warnings) {
    EXPECT_GT(warning.message.size(), 40u) << warning.code;
    codes.push_back(warning.code);
  }
  return codes;
}

TEST(WeightWarningsTest, TheDefaultsAreQuiet) {
  for (const auto preset :
       {Objective::PRESET_VAR, Objective::PRESET_BOLTZMANN,
        Objective::PRESET_RAFT, Objective::PRESET_SFT, Objective::PRESET_AWR}) {
    EXPECT_THAT(Codes(PlanWarnings(Preset(preset), kPairs)), IsEmpty())
        << preset;
  }
}

TEST(WeightWarningsTest, AdvantagesAreQuietButForAPenaltyWithoutABound) {
  Objective rule;
  rule.set_kind(Objective::KIND_A_LOL);
  ASSERT_OK_AND_ASSIGN(rule, ResolveObjective(rule));
  EXPECT_THAT(Codes(PlanWarnings(rule, kPairs)), IsEmpty());
  WeightMetrics metrics;
  metrics.rows = 64;
  metrics.ess_norm = 0;
  metrics.length_corr = 1;
  EXPECT_THAT(Codes(MetricWarnings(rule, metrics)), IsEmpty());
  rule.mutable_a_lol()->set_variant(Objective::ALol::VARIANT_KL);
  EXPECT_THAT(Codes(PlanWarnings(rule, kPairs)), ElementsAre("unbounded_loss"));
}

TEST(WeightWarningsTest, PromptsWithOneResponseAreRefusedByWhoNeedsTwo) {
  Objective rule = Rule(Objective::REF_LOGP_NONE);
  rule.set_estimator(Objective::ESTIMATOR_LEAVE_ONE_OUT);
  const ZSetCounts counts = {
      .rows = 5, .z_sets = 3, .trivial_z_rows = 1, .rows_without_rival = 1};
  EXPECT_THAT(CheckZSets(rule, counts),
              StatusIs(absl::StatusCode::kFailedPrecondition,
                       HasSubstr("one response: 1")));
  Objective a_lol;
  a_lol.set_kind(Objective::KIND_A_LOL);
  ASSERT_OK_AND_ASSIGN(a_lol, ResolveObjective(a_lol));
  EXPECT_OK(CheckZSets(a_lol, counts));
  const ZSetCounts singles = {
      .rows = 3, .z_sets = 3, .trivial_z_rows = 3, .rows_without_rival = 3};
  EXPECT_THAT(CheckZSets(a_lol, singles),
              StatusIs(absl::StatusCode::kFailedPrecondition,
                       HasSubstr("objective.a_lol.value none")));
  a_lol.mutable_a_lol()->set_value(Objective::ALol::VALUE_NONE);
  EXPECT_OK(CheckZSets(a_lol, singles));
}

TEST(WeightWarningsTest, TheLiteralReadingIsNot) {
  EXPECT_THAT(
      Codes(PlanWarnings(Preset(Objective::PRESET_VAR_LITERAL), kPairs)),
      ElementsAre("length_dominated", "prompt_offset"));
}

TEST(WeightWarningsTest, SummedReferenceOnItsOwnSamples) {
  Objective rule = Rule(Objective::REF_LOGP_SUM);
  rule.set_response_source(Objective::RESPONSE_SOURCE_REFERENCE_SAMPLES);
  EXPECT_THAT(Codes(PlanWarnings(rule, {})),
              ElementsAre("length_dominated", "reference_counted_twice"));
  rule.set_alpha(0);
  EXPECT_THAT(Codes(PlanWarnings(rule, {})), IsEmpty());
}

TEST(WeightWarningsTest, SummedReferenceIsExactWhereAllResponsesAreListed) {
  Objective rule = Rule(Objective::REF_LOGP_SUM);
  WeightMetrics metrics;
  metrics.rows = 64;
  metrics.length_corr = -0.9;
  EXPECT_THAT(Codes(MetricWarnings(rule, metrics)),
              ElementsAre("length_dominated"));
  rule.set_response_source(Objective::RESPONSE_SOURCE_ENUMERATED);
  EXPECT_THAT(Codes(PlanWarnings(rule, {})), IsEmpty());
  EXPECT_THAT(Codes(MetricWarnings(rule, metrics)), IsEmpty());
  // Without the sum the weights are not exact, and the guard stands.
  rule.set_ref_logp(Objective::REF_LOGP_NONE);
  EXPECT_THAT(Codes(MetricWarnings(rule, metrics)),
              ElementsAre("length_dominated"));
}

TEST(WeightWarningsTest, SinglesInABatchRankPrompts) {
  const ZSetCounts counts = {.rows = 64, .z_sets = 1, .rows_without_rival = 64};
  EXPECT_THAT(Codes(PlanWarnings(Preset(Objective::PRESET_VAR), counts)),
              ElementsAre("prompt_offset"));
  EXPECT_THAT(Codes(PlanWarnings(Preset(Objective::PRESET_SFT), counts)),
              IsEmpty());
}

// Nothing is normalised and nothing can be centred: a row's weight is
// exp(r/lambda), its prompt's offset included.
TEST(WeightWarningsTest, SinglesWithoutNormalisationRankPromptsToo) {
  const ZSetCounts counts = {
      .rows = 64, .z_sets = 64, .trivial_z_rows = 64, .rows_without_rival = 64};
  const auto warnings = PlanWarnings(Preset(Objective::PRESET_AWR), counts);
  ASSERT_THAT(Codes(warnings), ElementsAre("prompt_offset"));
  EXPECT_THAT(warnings[0].message, HasSubstr("64 of 64"));
  EXPECT_THAT(Codes(PlanWarnings(Preset(Objective::PRESET_AWR), kPairs)),
              IsEmpty());
}

TEST(WeightWarningsTest, SmallLambdaIsAFactNotAFault) {
  Objective rule = Preset(Objective::PRESET_BOLTZMANN);
  rule.set_lambda(0.84);  // the floor of pairs is 0.849
  const auto warnings = PlanWarnings(rule, kPairs);
  ASSERT_THAT(Codes(warnings), ElementsAre("lambda_below_floor"));
  EXPECT_EQ(warnings[0].severity, Severity::kInfo);
  rule.set_lambda(0.86);
  EXPECT_THAT(PlanWarnings(rule, kPairs), IsEmpty());
  // In the reward's own unit it takes the sd to tell.
  const Objective raw = WithRawLambda(rule, 1);
  EXPECT_THAT(Codes(PlanWarnings(raw, kPairs)),
              ElementsAre("lambda_below_floor"));
  EXPECT_THAT(PlanWarnings(raw, {.rows = 200, .z_sets = 100}), IsEmpty());
}

TEST(WeightWarningsTest, TrivialSetsAreCountedAndRefusedWhereAllAre) {
  const Objective rule = Preset(Objective::PRESET_VAR);
  const ZSetCounts some = {
      .rows = 9, .z_sets = 5, .trivial_z_rows = 3, .rows_without_rival = 3};
  const auto warnings = PlanWarnings(rule, some);
  ASSERT_THAT(Codes(warnings), ElementsAre("trivial_z"));
  EXPECT_THAT(warnings[0].message, HasSubstr("3 of 9"));
  EXPECT_OK(CheckZSets(rule, some));

  const ZSetCounts all = {
      .rows = 9, .z_sets = 9, .trivial_z_rows = 9, .rows_without_rival = 9};
  EXPECT_THAT(CheckZSets(rule, all),
              StatusIs(absl::StatusCode::kFailedPrecondition,
                       HasSubstr("allow_trivial")));
  Objective allowed = rule;
  allowed.mutable_z()->set_allow_trivial(true);
  EXPECT_OK(CheckZSets(allowed, all));
  EXPECT_OK(CheckZSets(Preset(Objective::PRESET_SFT), all));
  EXPECT_OK(CheckZSets(Preset(Objective::PRESET_AWR), all));
}

TEST(WeightWarningsTest, FewRowsThatCarryASetAreNamed) {
  WeightMetrics metrics;
  metrics.ess_norm = 0.09;
  EXPECT_THAT(Codes(MetricWarnings(Preset(Objective::PRESET_VAR), metrics)),
              ElementsAre("low_ess"));
  EXPECT_THAT(MetricWarnings(Preset(Objective::PRESET_RAFT), metrics),
              IsEmpty());
  metrics.ess_norm = 0.11;
  EXPECT_THAT(MetricWarnings(Preset(Objective::PRESET_VAR), metrics),
              IsEmpty());
}

TEST(WeightWarningsTest, WhatIsAdvisedAgainstLengthIsNotInForceAlready) {
  WeightMetrics metrics;
  metrics.rows = 64;
  metrics.length_corr = 0.9;
  const auto advice = [&metrics](Objective::RefLogp ref_logp) {
    return MetricWarnings(Rule(ref_logp), metrics).at(0).message;
  };
  EXPECT_THAT(advice(Objective::REF_LOGP_SUM), HasSubstr("ref_logp mean"));
  EXPECT_THAT(advice(Objective::REF_LOGP_MEAN),
              AllOf(HasSubstr("ref_logp none"), HasSubstr("reward_length_corr"),
                    Not(HasSubstr("ref_logp mean"))));
  EXPECT_THAT(
      advice(Objective::REF_LOGP_NONE),
      AllOf(HasSubstr("the reward itself"), Not(HasSubstr("ref_logp"))));
}

// Lengths as people's answers have them, log-probabilities as a model gives
// them, rewards that have nothing to do with either.
WeightMetrics MetricsOfRandomRewards(const Objective& rule) {
  std::mt19937_64 random(15);
  std::normal_distribution<double> normal;
  WeightStatistics statistics;
  for (int set = 0; set < 1024; ++set) {
    std::vector<Score> scores;
    for (int k = 0; k < 8; ++k) {
      const double n =
          std::min(512.0, std::ceil(110 * std::exp(0.8 * normal(random))));
      scores.push_back({normal(random), (-1.1 + 0.25 * normal(random)) * n,
                        static_cast<uint32_t>(n)});
    }
    EXPECT_OK(
        statistics.AddZSet(scores, LogWeights(scores, rule).value(), rule));
  }
  return statistics.Metrics();
}

TEST(WeightWarningsTest, LengthGuardSeesSumsAndNothingElse) {
  const Objective sum = Rule(Objective::REF_LOGP_SUM);
  WeightMetrics metrics = MetricsOfRandomRewards(sum);
  EXPECT_LT(*metrics.length_corr, -0.8);
  EXPECT_THAT(Codes(MetricWarnings(sum, metrics)),
              ::testing::Contains("length_dominated"));
  metrics.rows = 63;
  EXPECT_THAT(Codes(MetricWarnings(sum, metrics)),
              ::testing::Not(::testing::Contains("length_dominated")));

  for (const auto ref_logp :
       {Objective::REF_LOGP_MEAN, Objective::REF_LOGP_NONE}) {
    const Objective rule = Rule(ref_logp);
    metrics = MetricsOfRandomRewards(rule);
    EXPECT_LT(std::abs(*metrics.length_corr), 0.2);
    EXPECT_THAT(MetricWarnings(rule, metrics), IsEmpty());
  }
}

}  // namespace
}  // namespace varalign::objective
