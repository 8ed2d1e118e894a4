#include "cli/run_text.h"

#include "gmock/gmock.h"
#include "gtest/gtest.h"

namespace varalign::cli {
namespace {

using ::testing::HasSubstr;
using ::testing::Not;

const NextCommands kNext = {.resume = "submit --resume r-1",
                            .other = "train --out other"};

v1::Run SucceededRun() {
  v1::Run run;
  run.set_run_id("r-1");
  run.set_name("helpful");
  run.set_state(v1::SUCCEEDED);
  run.set_step(200);
  run.set_tokens(5000);
  run.set_directory("/runs/helpful");
  run.set_checkpoint("/runs/helpful/checkpoints/step-00000200");
  auto* weights = run.mutable_last_step()->mutable_weights();
  weights->set_ess_ratio(0.25);
  weights->set_length_corr(0.25);
  weights->set_reward_length_corr(-0.5);
  weights->set_ref_share(0.125);
  auto* before = run.add_evaluations();
  before->set_examples(8);
  before->set_expected_reward(0.5);
  auto* after = run.add_evaluations();
  after->set_examples(8);
  after->set_expected_reward(1.25);
  return run;
}

TEST(DurationTextTest, ChoosesTheUnitByLength) {
  EXPECT_EQ(DurationText(absl::Seconds(4.25)), "4.2 s");
  EXPECT_EQ(DurationText(absl::Seconds(200)), "3 m 20 s");
  EXPECT_EQ(DurationText(absl::Minutes(62)), "1 h 2 m");
}

TEST(RunSummaryTest, ShowsHeldOutRewardBeforeAndAfterAndTheCheckpoint) {
  const std::string text = RunSummary(SucceededRun(), {});
  EXPECT_THAT(text, HasSubstr("0.5000     1.2500"));
  EXPECT_THAT(text, HasSubstr("step-00000200"));
  EXPECT_THAT(text, HasSubstr("0.25 of a Z-set"));
  EXPECT_THAT(text, HasSubstr("weights 0.25, rewards -0.50"));
  EXPECT_THAT(text, HasSubstr("spread 0.12"));
  EXPECT_THAT(text, Not(HasSubstr("optimum")));
}

TEST(RunSummaryTest, ShowsTheOptimumOnlyWhereItIsKnown) {
  v1::Run run = SucceededRun();
  auto* after = run.mutable_evaluations(1);
  after->set_optimum_expected_reward(1.5);
  after->set_kl_to_optimum(0.01);
  const std::string text = RunSummary(run, {});
  EXPECT_THAT(text, HasSubstr("1.5000"));
  EXPECT_THAT(text, HasSubstr("KL from the optimum"));
}

TEST(RunSummaryTest, AFailedRunSaysWhyAndHowToGoOn) {
  v1::Run run = SucceededRun();
  run.set_state(v1::FAILED);
  run.set_reason("rank 1 on host a: killed by signal 9");
  const std::string text = RunSummary(run, kNext);
  EXPECT_THAT(text, HasSubstr("rank 1 on host a"));
  EXPECT_THAT(text, HasSubstr("go on:      submit --resume r-1\n"));
  EXPECT_THAT(text, Not(HasSubstr("other runs")));
}

TEST(RunSummaryTest, ASucceededRunNamesAnotherOne) {
  const std::string text = RunSummary(SucceededRun(), kNext);
  EXPECT_THAT(text, HasSubstr("other runs: train --out other\n"));
  EXPECT_THAT(text, Not(HasSubstr("go on")));
  EXPECT_THAT(RunSummary(SucceededRun(), {}), Not(HasSubstr("other runs")));
}

// It would stop again at the same place.
TEST(RunSummaryTest, BadDataAndBadConfigurationsAreNotResumed) {
  v1::Run run = SucceededRun();
  run.set_state(v1::FAILED);
  for (const int code : {65, 78}) {
    run.set_exit_code(code);
    EXPECT_THAT(RunSummary(run, kNext), Not(HasSubstr("go on"))) << code;
  }
  run.set_exit_code(74);
  EXPECT_THAT(RunSummary(run, kNext), HasSubstr("go on"));
}

TEST(ClipLinesTest, CutsEachLineAndNoCharacter) {
  EXPECT_EQ(ClipLines("abcdef\nab\n\nabc\n", 3), "abc\nab\n\nabc\n");
  EXPECT_EQ(ClipLines("\xc3\xa4\xc3\xb6\xc3\xbc\n", 2), "\xc3\xa4\xc3\xb6\n");
  EXPECT_EQ(ClipLines("abcdef\n", 0), "abcdef\n") << "width not known";
}

TEST(EventLineTest, TellsWhatAQueuedRunWaitsFor) {
  v1::RunEvent event;
  event.mutable_progress()->set_activity("waiting for 2 workers");
  EXPECT_EQ(EventLine(event, v1::Objective()), "waiting for 2 workers");
  event.mutable_progress()->set_total(4);
  EXPECT_EQ(EventLine(event, v1::Objective()), "") << "only moves a bar";
}

TEST(EventLineTest, StripsTerminalEscapesFromReasons) {
  v1::RunEvent event;
  event.mutable_state()->set_to(v1::FAILED);
  event.mutable_state()->set_reason("bad \x1b[31mname");
  EXPECT_THAT(EventLine(event, v1::Objective()), Not(HasSubstr("\x1b")));
}

TEST(EventLineTest, CountsStepsFromOneAsPeopleDo) {
  v1::RunEvent event;
  event.mutable_step()->set_step(0);
  EXPECT_THAT(EventLine(event, v1::Objective()), HasSubstr("step 1 "));
}

TEST(LossTextTest, TellsWhatItIsTheLossOf) {
  v1::Objective objective;
  objective.set_loss_reduction(v1::Objective::LOSS_REDUCTION_SEQUENCE_SUM);
  objective.set_train_on(v1::Objective::TRAIN_ON_ALL);
  objective.set_convention(v1::Objective::CONVENTION_MEAN);
  v1::StepReport step;
  step.set_loss(231.5);
  EXPECT_EQ(LossText(step, objective), "loss 231.5000 a response");
  step.mutable_weights()->set_response_length(100);
  EXPECT_EQ(LossText(step, objective), "loss 231.5000 (2.3150 a token)");
  // The length is that of all rows.
  objective.set_train_on(v1::Objective::TRAIN_ON_CHOSEN);
  EXPECT_EQ(LossText(step, objective), "loss 231.5000 a response");
  objective.set_loss_reduction(v1::Objective::LOSS_REDUCTION_TOKEN_MEAN);
  EXPECT_EQ(LossText(step, objective), "loss 231.5000 a token");
}

TEST(RunSummaryTest, AdvisesWhereTheRewardHardlyMoved) {
  v1::Run run = SucceededRun();
  run.mutable_config()->mutable_objective()->set_preset(
      v1::Objective::PRESET_VAR);
  run.mutable_constants()->set_reward_sd(1);
  run.mutable_constants()->set_lambda_raw(1);
  EXPECT_THAT(RunSummary(run, {}), Not(HasSubstr("hardly moved")));
  run.mutable_evaluations(1)->set_expected_reward(0.51);
  EXPECT_THAT(RunSummary(run, {}),
              HasSubstr("\n  the held-out reward hardly moved (+0.0100): "));
}

TEST(LearningTextTest, ShowsPairsOfPreferencesAndWeightsOfTheRest) {
  v1::StepReport weighted;
  weighted.mutable_weights()->set_ess_ratio(0.61);
  weighted.mutable_weights()->set_max(2.1);
  EXPECT_EQ(LearningText(weighted), "weights: ess 0.61  max 2.10");
  v1::StepReport preferred;
  v1::PreferenceStatistics& pairs = *preferred.mutable_preferences();
  pairs.set_accuracy(0.75);
  pairs.set_margin(0.12);
  pairs.set_chosen_reward(0.05);
  pairs.set_rejected_reward(-0.07);
  EXPECT_EQ(LearningText(preferred),
            "pairs: right 0.75  margin 0.12  chosen +0.05  rejected -0.07");
}

}  // namespace
}  // namespace varalign::cli
