#include "cli/run_advice.h"

#include "gmock/gmock.h"
#include "gtest/gtest.h"

namespace varalign::cli {
namespace {

using ::testing::AllOf;
using ::testing::HasSubstr;
using ::testing::Not;

// A run of many steps that moved the policy and not the reward, with weights
// that differ.
v1::Run UnmovedRun() {
  v1::Run run;
  run.set_state(v1::SUCCEEDED);
  run.set_step(500);
  auto* objective = run.mutable_config()->mutable_objective();
  objective->set_preset(v1::Objective::PRESET_VAR);
  objective->set_ref_logp(v1::Objective::REF_LOGP_MEAN);
  objective->set_alpha(1);
  run.mutable_config()->mutable_train()->set_learning_rate(1e-6);
  run.mutable_constants()->set_reward_sd(2);
  run.mutable_constants()->set_lambda_raw(2);
  run.mutable_last_step()->mutable_weights()->set_ess_ratio(0.7);
  run.add_evaluations()->set_expected_reward(1);
  auto* after = run.add_evaluations();
  after->set_expected_reward(1.01);
  after->set_kl(0.5);
  return run;
}

TEST(AdviceOnRewardTest, NothingWhereTheRewardMoved) {
  v1::Run run = UnmovedRun();
  run.mutable_evaluations(1)->set_expected_reward(1.11);
  EXPECT_EQ(AdviceOnReward(run), "");
  run.mutable_evaluations(1)->set_expected_reward(0.5);
  EXPECT_EQ(AdviceOnReward(run), "") << "down is a move too";
}

TEST(AdviceOnRewardTest, NothingWhereItCannotBeTold) {
  v1::Run run = UnmovedRun();
  run.mutable_config()->mutable_objective()->set_preset(
      v1::Objective::PRESET_SFT);
  EXPECT_EQ(AdviceOnReward(run), "") << "no rewards";
  run = UnmovedRun();
  run.set_state(v1::FAILED);
  EXPECT_EQ(AdviceOnReward(run), "");
  run = UnmovedRun();
  run.clear_constants();
  EXPECT_EQ(AdviceOnReward(run), "") << "no scale";
  run = UnmovedRun();
  run.mutable_evaluations()->RemoveLast();
  EXPECT_EQ(AdviceOnReward(run), "") << "measured once";
}

TEST(AdviceOnRewardTest, EqualWeightsWantASmallerLambda) {
  v1::Run run = UnmovedRun();
  run.mutable_last_step()->mutable_weights()->set_ess_ratio(0.98);
  EXPECT_THAT(AdviceOnReward(run),
              AllOf(HasSubstr("hardly moved (+0.0100)"),
                    HasSubstr("nearly equal (effective sample size 0.98"),
                    HasSubstr("lower objective.lambda"),
                    Not(HasSubstr("standard deviations"))));
  run.mutable_constants()->set_lambda_raw(10);
  EXPECT_THAT(AdviceOnReward(run),
              HasSubstr("lambda is 5 standard deviations of the reward"));
}

TEST(AdviceOnRewardTest, AReferenceThatRulesTheWeightsIsNamed) {
  v1::Run run = UnmovedRun();
  run.mutable_last_step()->mutable_weights()->set_ref_share(0.8);
  EXPECT_THAT(AdviceOnReward(run),
              AllOf(HasSubstr("80 % of the weights' spread"),
                    HasSubstr("objective.alpha")));
}

TEST(AdviceOnRewardTest, FewStepsAndASmallLearningRateAreBothTold) {
  v1::Run run = UnmovedRun();
  run.set_step(12);
  run.mutable_evaluations(1)->set_kl(0.0004);
  EXPECT_THAT(AdviceOnReward(run),
              AllOf(HasSubstr("12 steps are few"), HasSubstr("train.epochs"),
                    HasSubstr("KL 0.0004 nats"),
                    HasSubstr("train.learning_rate, now 1e-06")));
}

TEST(AdviceOnRewardTest, APolicyThatMovedElsewhereIsToldAsSuch) {
  EXPECT_THAT(AdviceOnReward(UnmovedRun()),
              HasSubstr("not to what is rewarded"));
}

TEST(AdviceOnRewardTest, LambdaIsTheScaleWhereNoSpreadWasMeasured) {
  v1::Run run = UnmovedRun();
  run.mutable_constants()->clear_reward_sd();
  run.mutable_constants()->set_lambda_raw(0.1);
  EXPECT_EQ(AdviceOnReward(run), "") << "0.01 is a tenth of it";
}

}  // namespace
}  // namespace varalign::cli
