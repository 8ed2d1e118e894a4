#include "worker/step_reporter.h"

#include <vector>

#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "tests/testing/status_matchers.h"

namespace varalign::worker {
namespace {

using ::varalign::testing::StatusIs;

v1::StepReport Step(uint64_t number) {
  v1::StepReport step;
  step.set_step(number);
  return step;
}

TEST(StepReporterTest, DeliversAllInOrderBeforeFlushReturns) {
  Departure departure;
  std::vector<uint64_t> delivered;
  StepReporter reporter(
      [&](const v1::ReportStepRequest& report) {
        delivered.push_back(report.step().step());
        return absl::OkStatus();
      },
      departure);
  for (uint64_t i = 0; i < 1000; ++i) ASSERT_OK(reporter.Report(Step(i)));
  ASSERT_OK(reporter.Flush());
  ASSERT_EQ(delivered.size(), 1000u);
  for (uint64_t i = 0; i < 1000; ++i) EXPECT_EQ(delivered[i], i);
}

TEST(StepReporterTest, LostReportMakesTheRankLeave) {
  Departure departure;
  StepReporter reporter(
      [](const v1::ReportStepRequest&) {
        return absl::UnavailableError("no coordinator");
      },
      departure);
  reporter.Report(Step(0)).IgnoreError();
  EXPECT_THAT(reporter.Flush(), StatusIs(absl::StatusCode::kUnavailable));
  EXPECT_THAT(departure.status(), StatusIs(absl::StatusCode::kUnavailable));
}

TEST(DepartureTest, FirstReasonStaysAndActionsRunOnce) {
  Departure departure;
  int runs = 0;
  departure.OnLeave([&] { ++runs; });
  EXPECT_FALSE(departure.WaitFor(absl::ZeroDuration()));
  departure.Leave(absl::AbortedError("first"));
  departure.Leave(absl::InternalError("second"));
  departure.OnLeave([&] { runs += 10; });
  EXPECT_EQ(runs, 11);
  EXPECT_TRUE(departure.WaitFor(absl::ZeroDuration()));
  EXPECT_THAT(departure.status(), StatusIs(absl::StatusCode::kAborted));
}

}  // namespace
}  // namespace varalign::worker
