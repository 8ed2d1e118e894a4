#include "telemetry/call_seconds.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace varalign::telemetry {
namespace {

using ::testing::HasSubstr;

TEST(CallSecondsTest, CountsByServiceMethodAndCode) {
  Registry registry("test");
  CallSeconds calls(registry);
  calls.Observe("/varalign.v1.RunService/GetRun", absl::StatusCode::kNotFound,
                absl::Milliseconds(30));
  calls.Observe("/grpc.health.v1.Health/Check", absl::StatusCode::kOk,
                absl::Milliseconds(1));
  EXPECT_THAT(registry.Exposition(),
              HasSubstr("varalign_grpc_server_call_duration_seconds_sum{code="
                        "\"NOT_FOUND\",method=\"RunService/GetRun\"} 0.03"));
  EXPECT_THAT(registry.Exposition(),
              HasSubstr("method=\"/grpc.health.v1.Health/Check\""));
}

}  // namespace
}  // namespace varalign::telemetry
