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
  run.mutable_last_step()->set_loss(1.5);
  run.add_evaluations()->set_expected_reward(1);
  run.add_evaluations()->set_expected_reward(2);
  const base::Json json = TrainResultJson(run);
  EXPECT_EQ(json["version"], 1);
  EXPECT_EQ(json["run_id"], "r-1");
  EXPECT_EQ(json["state"], "SUCCEEDED");
  EXPECT_EQ(json["steps"], 3);
  EXPECT_EQ(json["tokens"], 99);
  EXPECT_EQ(json["checkpoint"], "/c");
  EXPECT_EQ(json["metrics"]["loss"], 1.5);
  EXPECT_EQ(json["metrics"]["before"]["eval_expected_reward"], 1.0);
  EXPECT_EQ(json["metrics"]["after"]["eval_expected_reward"], 2.0);
}

TEST(RunJsonTest, ARunThatGoesOnHasNoEnd) {
  v1::Run run;
  run.mutable_submit_time()->set_seconds(1767323045);
  const base::Json json = RunJson(run);
  EXPECT_EQ(json["submit_time"], "2026-01-02T03:04:05.000Z");
  EXPECT_TRUE(json["end_time"].is_null());
}

TEST(SlotJsonTest, SaysWhereTheWorkerIsMeasured) {
  v1::SlotStatus slot;
  slot.set_slot_id("node1-7");
  slot.set_metrics_address("127.0.0.1:9901");
  const base::Json json = SlotJson(slot);
  EXPECT_EQ(json["slot_id"], "node1-7");
  EXPECT_EQ(json["metrics_address"], "127.0.0.1:9901");
}

}  // namespace
}  // namespace varalign::cli
