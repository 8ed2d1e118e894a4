#include "coordinator/event_json.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <limits>

#include "base/json.h"
#include "tests/testing/status_matchers.h"

namespace varalign::coordinator {
namespace {

using ::testing::StartsWith;

v1::RunEvent Event() {
  v1::RunEvent event;
  event.set_number(12);
  event.mutable_time()->set_seconds(1767323045);
  event.mutable_time()->set_nanos(678'000'000);
  return event;
}

TEST(EventJsonTest, ALineBeginsWithItsNumber) {
  v1::RunEvent event = Event();
  event.mutable_state()->set_from(v1::RUNNING);
  event.mutable_state()->set_to(v1::FAILED);
  event.mutable_state()->set_reason("rank 1 was killed");
  event.mutable_state()->set_exit_code(70);
  EXPECT_EQ(EventLine(event),
            R"({"number":12,"time":"2026-01-02T03:04:05.678Z","event":"state",)"
            R"("from":"RUNNING","to":"FAILED","generation":0,)"
            R"("reason":"rank 1 was killed","exit_code":70})");
}

TEST(EventJsonTest, MetricsHaveTheNamesOfTrainersThatPeopleKnow) {
  v1::RunEvent event = Event();
  event.mutable_step()->set_step(3);
  event.mutable_step()->set_loss(1.5);
  event.mutable_step()->set_grad_norm(std::numeric_limits<double>::infinity());
  event.mutable_step()->mutable_weights()->set_ess_ratio(0.25);
  event.mutable_step()->mutable_weights()->set_reward_length_correlation(0.5);
  event.mutable_step()->mutable_weights()->set_ref_share(0.125);
  const auto line = MetricsLine(event);
  ASSERT_TRUE(line.has_value());
  EXPECT_THAT(*line, StartsWith("{\"number\":12,"));
  ASSERT_OK_AND_ASSIGN(const base::Json json, base::ParseJson(*line));
  EXPECT_EQ(json["step"], 4);
  EXPECT_EQ(json["loss"], 1.5);
  EXPECT_TRUE(json["grad_norm"].is_null());
  EXPECT_EQ(json["weight_ess_ratio"], 0.25);
  EXPECT_EQ(json["reward_length_correlation"], 0.5);
  EXPECT_EQ(json["ref_share"], 0.125);
  for (const char* name : {"learning_rate", "num_tokens"}) {
    EXPECT_TRUE(json.contains(name)) << name;
  }
}

TEST(EventJsonTest, OnlyStepsAndEvaluationsAreMetrics) {
  v1::RunEvent event = Event();
  event.mutable_checkpoint();
  EXPECT_FALSE(MetricsLine(event).has_value());
  event.mutable_evaluation()->set_kl(0.5);
  EXPECT_TRUE(MetricsLine(event).has_value());
}

}  // namespace
}  // namespace varalign::coordinator
