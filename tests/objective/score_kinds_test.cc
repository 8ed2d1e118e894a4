#include "objective/score_kinds.h"

#include "tests/objective/rules.h"

namespace varalign::objective {
namespace {

using v1::Objective;
using v1::ScoringConfig;

constexpr ScoreKinds kNone = {};
constexpr ScoreKinds kRewards = {.rewards = true};
constexpr ScoreKinds kLogProbs = {.logprobs = true};
constexpr ScoreKinds kBoth = {.rewards = true, .logprobs = true};

void ExpectKinds(const ScoreKinds& actual, const ScoreKinds& expected,
                 const char* situation) {
  EXPECT_EQ(actual.rewards, expected.rewards) << situation;
  EXPECT_EQ(actual.logprobs, expected.logprobs) << situation;
}

TEST(ScoreKindsTest, MissingIsWhatTheRuleUsesAndNoColumnHolds) {
  const struct {
    const char* situation;
    Objective::Preset preset;
    ScoreKinds columns, missing;
  } kCases[] = {
      {"sft uses none", Objective::PRESET_SFT, kNone, kNone},
      {"var uses both", Objective::PRESET_VAR, kNone, kBoth},
      {"rewards are there", Objective::PRESET_VAR, kRewards, kLogProbs},
      {"log-probabilities are there", Objective::PRESET_VAR, kLogProbs,
       kRewards},
      {"both are there", Objective::PRESET_VAR, kBoth, kNone},
      {"boltzmann uses rewards", Objective::PRESET_BOLTZMANN, kRewards, kNone},
  };
  for (const auto& c : kCases) {
    ExpectKinds(MissingScores(Preset(c.preset), c.columns), c.missing,
                c.situation);
  }
}

TEST(ScoreKindsTest, AServerScoresWholeRows) {
  const Objective var = Preset(Objective::PRESET_VAR);
  const struct {
    const char* situation;
    ScoringConfig::Mode mode;
    ScoreKinds columns, served;
  } kCases[] = {
      {"columns asks nobody", ScoringConfig::MODE_COLUMNS, kNone, kNone},
      {"one is missing", ScoringConfig::MODE_AUTO, kRewards, kBoth},
      {"none is missing", ScoringConfig::MODE_AUTO, kBoth, kNone},
      {"before", ScoringConfig::MODE_BEFORE, kBoth, kBoth},
      {"ahead", ScoringConfig::MODE_AHEAD, kBoth, kBoth},
  };
  for (const auto& c : kCases) {
    ExpectKinds(ServedScores(var, c.columns, c.mode), c.served, c.situation);
  }
  ExpectKinds(ServedScores(Preset(Objective::PRESET_SFT), kNone,
                           ScoringConfig::MODE_BEFORE),
              kNone, "sft uses none");
}

v1::RunConfig WithPattern(const char* model) {
  v1::RunConfig config;
  config.mutable_reward()->mutable_pattern()->set_regex("x");
  config.mutable_reward()->set_path(model);
  return config;
}

TEST(ScoreKindsTest, RulesAloneNeedNoRewardModel) {
  const Objective var = Preset(Objective::PRESET_VAR);
  v1::DatasetManifest bare, scored;
  scored.set_has_rewards(true);
  scored.set_has_logprobs(true);
  v1::RunConfig rules = WithPattern("");
  ExpectKinds(ServedScores(rules, var, bare), kLogProbs, "rules alone");
  ExpectKinds(ServedScores(rules, Preset(Objective::PRESET_BOLTZMANN), bare),
              kNone, "rules alone, no reference");
  ExpectKinds(ServedHeldOutScores(rules, bare), kLogProbs, "held out");
  rules.mutable_scoring()->set_mode(ScoringConfig::MODE_BEFORE);
  ExpectKinds(ServedScores(rules, var, bare), kLogProbs, "rules, before");
  const v1::RunConfig both = WithPattern("/model");
  ExpectKinds(ServedScores(both, var, bare), kBoth, "rules and a model");
  ExpectKinds(ServedScores(both, var, scored), kNone, "scored");
  v1::RunConfig model = WithPattern("/model");
  model.mutable_reward()->clear_pattern();
  scored.set_has_logprobs(false);
  ExpectKinds(ServedScores(model, var, scored), kBoth, "a model alone");
  ExpectKinds(ServedScores(both, var, scored), kLogProbs, "the rest alone");
}

}  // namespace
}  // namespace varalign::objective
