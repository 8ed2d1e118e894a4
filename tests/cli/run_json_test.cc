#include "cli/run_json.h"

#include "gtest/gtest.h"

namespace varalign::cli {
namespace {

TEST(TrainResultJsonTest, HasTheFieldsOfTheContract) {
  v1::Run run;
  run.set_run_id("r-1");
  run.set_state(v1::SUCCEEDED);
  run.set_step(3);
  run.set_tokens(99);
  run.set_checkpoint("/c");
  run.add_evaluations()->set_expected_reward(1);
  run.add_evaluations()->set_expected_reward(2);
  const base::Json json = TrainResultJson(run);
  EXPECT_EQ(json["version"], 1);
  EXPECT_EQ(json["run_id"], "r-1");
  EXPECT_EQ(json["state"], "SUCCEEDED");
  EXPECT_EQ(json["steps"], 3);
  EXPECT_EQ(json["tokens"], 99);
  EXPECT_EQ(json["checkpoint"], "/c");
  EXPECT_EQ(json["metrics"]["before"]["expected_reward"], 1.0);
  EXPECT_EQ(json["metrics"]["after"]["expected_reward"], 2.0);
}

TEST(EventJsonTest, AStepLineHasLossEssAndSpeed) {
  v1::RunEvent event;
  event.set_number(7);
  event.mutable_step()->set_step(4);
  event.mutable_step()->set_loss(1.5);
  event.mutable_step()->mutable_weights()->set_ess_ratio(0.5);
  event.mutable_step()->mutable_weights()->set_reward_length_correlation(0.25);
  event.mutable_step()->mutable_weights()->set_ref_share(0.75);
  event.mutable_step()->set_tokens_per_second(10);
  const base::Json json = EventJson(event);
  EXPECT_EQ(json["event"], "step");
  EXPECT_EQ(json["number"], 7);
  EXPECT_EQ(json["step"], 5);
  EXPECT_EQ(json["loss"], 1.5);
  EXPECT_EQ(json["ess"], 0.5);
  EXPECT_EQ(json["reward_length_correlation"], 0.25);
  EXPECT_EQ(json["ref_share"], 0.75);
  EXPECT_EQ(json["tokens_per_second"], 10.0);
}

TEST(EvaluationJsonTest, LeavesTheOptimumOutWhereItIsNotKnown) {
  v1::EvaluationReport evaluation;
  EXPECT_FALSE(EvaluationJson(evaluation).contains("optimum_kl"));
  evaluation.set_kl_to_optimum(0.5);
  EXPECT_EQ(EvaluationJson(evaluation)["kl_to_optimum"], 0.5);
}

}  // namespace
}  // namespace varalign::cli
