#include "rpc/event_json.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <limits>

#include "tests/testing/status_matchers.h"

namespace varalign::rpc {
namespace {

using ::testing::StartsWith;

v1::RunEvent Event() {
  v1::RunEvent event;
  event.set_number(12);
  event.mutable_time()->set_seconds(1767323045);
  event.mutable_time()->set_nanos(678'000'000);
  return event;
}

v1::RunEvent Step() {
  v1::RunEvent event = Event();
  v1::StepReport& step = *event.mutable_step();
  step.set_step(3);
  step.set_loss(1.5);
  step.set_tokens(100);
  step.set_tokens_per_second(10);
  step.set_grad_norm(std::numeric_limits<double>::infinity());
  step.mutable_weights()->set_ess_ratio(0.25);
  step.mutable_weights()->set_reward_length_corr(0.5);
  step.mutable_weights()->set_entropy(0.25);
  step.mutable_weights()->set_chosen_mean(1.5);
  step.mutable_weights()->set_ref_share(0.125);
  return event;
}

TEST(EventJsonTest, ALineBeginsWithItsNumber) {
  v1::RunEvent event = Event();
  event.mutable_state()->set_from(v1::RUNNING);
  event.mutable_state()->set_to(v1::FAILED);
  event.mutable_state()->set_reason("rank 1 was killed");
  event.mutable_state()->set_exit_code(70);
  EXPECT_EQ(base::DumpJson(EventJson(event)),
            R"({"number":12,"time":"2026-01-02T03:04:05.678Z","version":1,)"
            R"("event":"state","from":"RUNNING","to":"FAILED","generation":0,)"
            R"("reason":"rank 1 was killed","exit_code":70})");
}

TEST(EventJsonTest, AStepHasTheNamesOfTheContractAndOfTrainersThatPeopleKnow) {
  const std::string line = base::DumpJson(EventJson(Step()));
  ASSERT_OK_AND_ASSIGN(const base::Json json, base::ParseJson(line));
  EXPECT_EQ(json["event"], "step");
  EXPECT_EQ(json["step"], 4);
  EXPECT_EQ(json["loss"], 1.5);
  EXPECT_EQ(json["ess"], 0.25);
  EXPECT_EQ(json["tokens_per_second"], 10.0);
  EXPECT_EQ(json["num_tokens"], 100);
  EXPECT_EQ(json["weight_ess_ratio"], 0.25);
  EXPECT_EQ(json["reward_length_corr"], 0.5);
  EXPECT_EQ(json["weight_entropy"], 0.25);
  EXPECT_EQ(json["weight_chosen_mean"], 1.5);
  EXPECT_FALSE(json.contains("weight_rejected_mean"));
  EXPECT_EQ(json["ref_share"], 0.125);
  EXPECT_TRUE(json["grad_norm"].is_null());
}

TEST(EventJsonTest, AllWhoWriteAnEventWriteTheSameFields) {
  const v1::RunEvent event = Step();
  const base::Json line = EventJson(event);
  const auto metrics = MetricsJson(event);
  ASSERT_TRUE(metrics.has_value());
  EXPECT_THAT(base::DumpJson(*metrics), StartsWith("{\"number\":12,"));
  const base::Json step = StepJson(event.step());
  for (const auto& [key, value] : step.items()) {
    EXPECT_EQ(line[key], value) << key;
    EXPECT_EQ((*metrics)[key], value) << key;
  }
}

TEST(EventJsonTest, OnlyStepsAndEvaluationsAreMetrics) {
  v1::RunEvent event = Event();
  event.mutable_checkpoint();
  EXPECT_FALSE(MetricsJson(event).has_value());
  event.mutable_evaluation()->set_kl(0.5);
  EXPECT_TRUE(MetricsJson(event).has_value());
}

TEST(EvaluationJsonTest, LeavesTheOptimumOutWhereItIsNotKnown) {
  v1::EvaluationReport evaluation;
  EXPECT_FALSE(EvaluationJson(evaluation).contains("eval_kl_to_optimum"));
  evaluation.set_kl_to_optimum(0.5);
  EXPECT_EQ(EvaluationJson(evaluation)["eval_kl_to_optimum"], 0.5);
}

}  // namespace
}  // namespace varalign::rpc
