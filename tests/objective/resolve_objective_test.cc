#include <google/protobuf/descriptor.h>
#include <google/protobuf/util/message_differencer.h>

#include <string>

#include "absl/strings/ascii.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "tests/objective/rules.h"
#include "varalign/v1/options.pb.h"

namespace varalign::objective {
namespace {

using ::google::protobuf::util::MessageDifferencer;
using ::testing::HasSubstr;
using v1::Objective;
using ::varalign::testing::StatusIs;

// What the schema's `default_value` says of every field of `message`.
void ExpectDefaults(const google::protobuf::Message& message) {
  const auto& reflection = *message.GetReflection();
  for (int i = 0; i < message.GetDescriptor()->field_count(); ++i) {
    const auto* field = message.GetDescriptor()->field(i);
    if (field->message_type() != nullptr) {
      ExpectDefaults(reflection.GetMessage(message, field));
      continue;
    }
    SCOPED_TRACE(field->full_name());
    ASSERT_TRUE(reflection.HasField(message, field));
    const std::string text =
        field->options().GetExtension(v1::rule).default_value();
    if (field->enum_type() != nullptr) {
      const std::string name = reflection.GetEnum(message, field)->name();
      EXPECT_TRUE(
          name.ends_with(absl::StrCat("_", absl::AsciiStrToUpper(text))))
          << name;
    } else if (field->cpp_type() == field->CPPTYPE_DOUBLE) {
      double value = -1;
      ASSERT_TRUE(absl::SimpleAtod(text, &value));
      EXPECT_EQ(reflection.GetDouble(message, field), value);
    } else if (field->cpp_type() == field->CPPTYPE_BOOL) {
      EXPECT_EQ(reflection.GetBool(message, field), text == "true");
    } else {
      EXPECT_EQ(std::to_string(reflection.GetUInt32(message, field)), text);
    }
  }
}

TEST(ResolveObjectiveTest, NothingSaidIsWhatTheSchemaSays) {
  ASSERT_OK_AND_ASSIGN(const Objective resolved, ResolveObjective({}));
  ExpectDefaults(resolved);
}

TEST(ResolveObjectiveTest, PresetsDifferFromVarAsDocumented) {
  const Objective literal = Preset(Objective::PRESET_VAR_LITERAL);
  EXPECT_EQ(literal.ref_logp(), Objective::REF_LOGP_SUM);
  EXPECT_EQ(literal.normalization(), Objective::NORMALIZATION_BATCH);
  EXPECT_EQ(literal.reward_center(), Objective::REWARD_CENTER_NONE);
  EXPECT_EQ(literal.alpha(), 1);

  EXPECT_EQ(Preset(Objective::PRESET_BOLTZMANN).ref_logp(),
            Objective::REF_LOGP_NONE);

  const Objective awr = Preset(Objective::PRESET_AWR);
  EXPECT_EQ(awr.normalization(), Objective::NORMALIZATION_NONE);
  EXPECT_EQ(awr.weight_clip(), 20);
  EXPECT_EQ(awr.reward_center(), Objective::REWARD_CENTER_PROMPT);

  EXPECT_EQ(Preset(Objective::PRESET_SFT).train_on(),
            Objective::TRAIN_ON_CHOSEN);
}

TEST(ResolveObjectiveTest, KeysOverrideThePreset) {
  Objective given;
  given.set_preset(Objective::PRESET_AWR);
  given.set_weight_clip(5);
  given.mutable_z()->set_block(8);
  ASSERT_OK_AND_ASSIGN(const Objective resolved, ResolveObjective(given));
  EXPECT_EQ(resolved.weight_clip(), 5);
  EXPECT_EQ(resolved.z().block(), 8u);
  EXPECT_FALSE(resolved.z().allow_trivial());
  EXPECT_TRUE(resolved.z().has_allow_trivial());
}

TEST(ResolveObjectiveTest, ResolvingTwiceChangesNothing) {
  for (int preset = Objective::PRESET_VAR; preset <= Objective::PRESET_AWR;
       ++preset) {
    const Objective once = Preset(static_cast<Objective::Preset>(preset));
    ASSERT_OK_AND_ASSIGN(const Objective twice, ResolveObjective(once));
    EXPECT_TRUE(MessageDifferencer::Equals(once, twice)) << twice.DebugString();
  }
}

TEST(ResolveObjectiveTest, RefusesWhatHasNoMeaning) {
  const struct {
    const char* situation;
    void (*edit)(Objective&);
    const char* named;
  } kCases[] = {
      {"sums divided by tokens",
       [](Objective& o) {
         o.set_convention(Objective::CONVENTION_SUM);
         o.set_loss_reduction(Objective::LOSS_REDUCTION_TOKEN_MEAN);
       },
       "loss_reduction token_mean"},
      {"sums of nothing",
       [](Objective& o) {
         o.set_preset(Objective::PRESET_AWR);
         o.set_convention(Objective::CONVENTION_SUM);
       },
       "convention sum"},
      {"weights without bound",
       [](Objective& o) { o.set_normalization(Objective::NORMALIZATION_NONE); },
       "weight_clip"},
      {"renormalise what was never normalised",
       [](Objective& o) {
         o.set_preset(Objective::PRESET_AWR);
         o.set_renormalize_after_clip(true);
       },
       "renormalize_after_clip"},
      {"renormalise without a clip",
       [](Objective& o) { o.set_renormalize_after_clip(true); }, "weight_clip"},
      {"best of no set",
       [](Objective& o) {
         o.set_preset(Objective::PRESET_RAFT);
         o.set_normalization(Objective::NORMALIZATION_NONE);
       },
       "preset raft"},
      {"a temperature that nothing reads",
       [](Objective& o) {
         o.set_preset(Objective::PRESET_SFT);
         o.set_lambda(2);
       },
       "objective.lambda"},
      {"an exponent that nothing reads",
       [](Objective& o) {
         o.set_preset(Objective::PRESET_BOLTZMANN);
         o.set_alpha(0.5);
       },
       "objective.alpha"},
      {"lambda 0", [](Objective& o) { o.set_lambda(0); }, "objective.lambda"},
      {"alpha below 0", [](Objective& o) { o.set_alpha(-1); },
       "objective.alpha"},
      {"lambda not a number", [](Objective& o) { o.set_lambda(std::nan("")); },
       "objective.lambda"},
      {"an unspecified value",
       [](Objective& o) { o.set_ref_logp(Objective::REF_LOGP_UNSPECIFIED); },
       "UNSPECIFIED"},
      {"leave one out of what set",
       [](Objective& o) {
         o.set_estimator(Objective::ESTIMATOR_LEAVE_ONE_OUT);
       },
       "normalization group"},
      {"leave one out of a fixed sum",
       [](Objective& o) {
         o.set_estimator(Objective::ESTIMATOR_LEAVE_ONE_OUT);
         o.set_normalization(Objective::NORMALIZATION_GROUP);
         o.set_convention(Objective::CONVENTION_SUM);
       },
       "convention sum"},
      {"lambda chosen twice",
       [](Objective& o) {
         o.set_target_kl(0.2);
         o.set_lambda(2);
       },
       "objective.lambda has no effect with objective.target_kl"},
      {"a target that nothing reads",
       [](Objective& o) {
         o.set_preset(Objective::PRESET_RAFT);
         o.set_target_kl(0.2);
       },
       "objective.target_kl"},
      {"target below 0", [](Objective& o) { o.set_target_kl(-1); },
       "objective.target_kl"},
      {"the batch's mean in no batch set",
       [](Objective& o) {
         o.set_reward_center(Objective::REWARD_CENTER_BATCH);
       },
       "normalization batch"},
      {"an unknown preset",
       [](Objective& o) { o.set_preset(static_cast<Objective::Preset>(99)); },
       "objective.preset"},
  };
  for (const auto& [situation, edit, named] : kCases) {
    Objective objective;
    edit(objective);
    EXPECT_THAT(ResolveObjective(objective),
                StatusIs(absl::StatusCode::kInvalidArgument, HasSubstr(named)))
        << situation;
  }
}

TEST(ResolveObjectiveTest, SaysWhatEachPresetNeeds) {
  const struct {
    Objective::Preset preset;
    bool rewards, log_probs, sd;
  } kCases[] = {
      {Objective::PRESET_VAR, true, true, true},
      {Objective::PRESET_VAR_LITERAL, true, true, true},
      {Objective::PRESET_BOLTZMANN, true, false, true},
      {Objective::PRESET_RAFT, true, false, false},
      {Objective::PRESET_SFT, false, false, false},
      {Objective::PRESET_AWR, true, false, true},
  };
  for (const auto& [preset, rewards, log_probs, sd] : kCases) {
    const Objective rule = Preset(preset);
    EXPECT_EQ(NeedsRewards(rule), rewards) << preset;
    EXPECT_EQ(NeedsLogProbs(rule), log_probs) << preset;
    EXPECT_EQ(NeedsRewardSd(rule), sd) << preset;
    EXPECT_FALSE(NeedsRewardSd(WithRawLambda(rule, 2))) << preset;
  }
}

TEST(ResolveObjectiveTest, AlphaZeroNeedsNoLogProbs) {
  Objective rule = Preset(Objective::PRESET_VAR);
  rule.set_alpha(0);
  EXPECT_FALSE(NeedsLogProbs(rule));
}

TEST(ResolveObjectiveTest, LeaveOneOutIsClippedUnlessToldOtherwise) {
  Objective given;
  given.set_estimator(Objective::ESTIMATOR_LEAVE_ONE_OUT);
  given.set_normalization(Objective::NORMALIZATION_GROUP);
  ASSERT_OK_AND_ASSIGN(const Objective clipped, ResolveObjective(given));
  EXPECT_EQ(clipped.weight_clip(), 10);
  given.set_weight_clip(0);
  ASSERT_OK_AND_ASSIGN(const Objective free, ResolveObjective(given));
  EXPECT_EQ(free.weight_clip(), 0);
}

TEST(ResolveObjectiveTest, KindSftIsThePresetAndItsKeysAreFew) {
  Objective given;
  given.set_kind(Objective::KIND_SFT);
  ASSERT_OK_AND_ASSIGN(Objective resolved, ResolveObjective(given));
  EXPECT_FALSE(NeedsRewards(resolved));
  EXPECT_FALSE(NeedsLogProbs(resolved));
  EXPECT_EQ(resolved.train_on(), Objective::TRAIN_ON_CHOSEN);
  ASSERT_OK_AND_ASSIGN(const Objective twice, ResolveObjective(resolved));
  EXPECT_TRUE(MessageDifferencer::Equals(resolved, twice));
  given.set_preset(Objective::PRESET_VAR);  // as defaults are filled in
  ASSERT_OK_AND_ASSIGN(const Objective filled, ResolveObjective(given));
  EXPECT_TRUE(MessageDifferencer::Equals(resolved, filled));
  resolved.set_kind(Objective::KIND_VAR);
  EXPECT_TRUE(
      MessageDifferencer::Equals(resolved, Preset(Objective::PRESET_SFT)));
  given.set_lambda(2);
  EXPECT_THAT(ResolveObjective(given),
              StatusIs(absl::StatusCode::kInvalidArgument,
                       HasSubstr("objective.lambda has no effect with "
                                 "objective.kind sft")));
}

// r/s clipped at c, over lambda, is r clipped at c s, over lambda s.
TEST(ResolveObjectiveTest, ScaledRewardsAreAnotherUnitOfLambdaAndClip) {
  for (const auto unit :
       {Objective::LAMBDA_UNIT_RAW, Objective::LAMBDA_UNIT_REWARD_SD}) {
    Objective rule = Preset(Objective::PRESET_VAR);
    rule.set_lambda_unit(unit);
    rule.set_reward_scale(Objective::REWARD_SCALE_STD);
    rule.set_reward_clip(2);
    EXPECT_TRUE(NeedsRewardSd(rule));
    const Objective raw = WithRawLambda(rule, 3);
    EXPECT_FALSE(NeedsRewardSd(raw));
    EXPECT_EQ(raw.lambda(), 3);
    EXPECT_EQ(raw.reward_clip(), 6);
  }
}

TEST(ResolveObjectiveTest, TargetKlNeedsNoSdAndGivesWayToItsLambda) {
  Objective rule = Preset(Objective::PRESET_VAR);
  rule.set_target_kl(0.1);
  EXPECT_FALSE(NeedsRewardSd(rule));
  EXPECT_THAT(LogWeights(Rewards({1, 2}), rule),
              StatusIs(absl::StatusCode::kInvalidArgument));
  const Objective fixed = WithLambda(rule, 0.25);
  EXPECT_EQ(fixed.lambda(), 0.25);
  EXPECT_OK(LogWeights(Rewards({1, 2}), fixed).status());
  EXPECT_OK(ResolveObjective(fixed).status());
}

TEST(ResolveObjectiveTest, RawLambdaIsLambdaTimesTheSd) {
  Objective rule = Preset(Objective::PRESET_VAR);
  rule.set_lambda(0.5);
  EXPECT_EQ(WithRawLambda(rule, 3).lambda(), 1.5);
  EXPECT_EQ(WithRawLambda(WithRawLambda(rule, 3), 3).lambda(), 1.5);
}

}  // namespace
}  // namespace varalign::objective
