#include "coordinator/lease.h"

#include <gtest/gtest.h>

#include "tests/testing/status_matchers.h"

namespace varalign::coordinator {
namespace {

using ::varalign::testing::StatusIs;

const LeaseRules kRules;

TEST(LeaseLengthTest, AimsAtFiveSecondsWithinOneAndSixtyFourSteps) {
  const struct {
    absl::Duration step_time;
    uint64_t steps;
  } kCases[] = {
      {absl::ZeroDuration(), 1},    {absl::Milliseconds(1), 64},
      {absl::Milliseconds(78), 64}, {absl::Milliseconds(100), 50},
      {absl::Seconds(1), 5},        {absl::Milliseconds(4900), 1},
      {absl::Seconds(60), 1},       {absl::InfiniteDuration(), 1},
  };
  for (const auto& [step_time, steps] : kCases) {
    EXPECT_EQ(LeaseLength(step_time, kRules), steps) << step_time;
  }
}

TEST(LeaseValidityTest, OutlivesTheGraceAndItsOwnSteps) {
  EXPECT_EQ(LeaseValidity(absl::ZeroDuration(), 1, kRules), absl::Minutes(10));
  EXPECT_EQ(LeaseValidity(absl::Seconds(1), 5, kRules), absl::Seconds(60));
  EXPECT_EQ(LeaseValidity(absl::Seconds(60), 1, kRules), absl::Seconds(300));
}

TEST(LeaseTableTest, WhoeverAsksFromTheSameStepGetsTheSame) {
  LeaseTable table(0);
  LeaseSituation situation{.total_steps = 10,
                           .cancel_requested = false,
                           .step_time = absl::Seconds(1)};
  const auto first = table.Ask(0, situation, kRules);
  ASSERT_OK(first);
  EXPECT_TRUE(first->is_new);
  EXPECT_EQ(first->lease.end, 5u);
  // Whatever has changed in between.
  situation.step_time = absl::Seconds(5);
  situation.cancel_requested = true;
  const auto again = table.Ask(0, situation, kRules);
  ASSERT_OK(again);
  EXPECT_FALSE(again->is_new);
  EXPECT_EQ(again->lease, first->lease);
}

TEST(LeaseTableTest, LeasesFollowOneAnotherToTheEnd) {
  LeaseTable table(3);
  const LeaseSituation situation{.total_steps = 10,
                                 .cancel_requested = false,
                                 .step_time = absl::Seconds(1)};
  EXPECT_THAT(table.Ask(0, situation, kRules),
              StatusIs(absl::StatusCode::kFailedPrecondition));
  ASSERT_OK_AND_ASSIGN(const auto first, table.Ask(3, situation, kRules));
  EXPECT_EQ(first.lease, (Lease{3, 8, v1::LeaseStepsResponse::ASK_AGAIN}));
  EXPECT_THAT(table.Ask(5, situation, kRules),
              StatusIs(absl::StatusCode::kFailedPrecondition));
  ASSERT_OK_AND_ASSIGN(const auto second, table.Ask(8, situation, kRules));
  EXPECT_EQ(second.lease, (Lease{8, 10, v1::LeaseStepsResponse::ASK_AGAIN}));
  ASSERT_OK_AND_ASSIGN(const auto last, table.Ask(10, situation, kRules));
  EXPECT_EQ(last.lease, (Lease{10, 10, v1::LeaseStepsResponse::FINISH}));
  EXPECT_EQ(table.ending(), v1::LeaseStepsResponse::FINISH);
}

TEST(LeaseTableTest, ACancelledRunStopsAtTheEndOfItsLease) {
  LeaseTable table(0);
  LeaseSituation situation{.total_steps = 10,
                           .cancel_requested = false,
                           .step_time = absl::Seconds(1)};
  ASSERT_OK(table.Ask(0, situation, kRules));
  situation.cancel_requested = true;
  ASSERT_OK_AND_ASSIGN(const auto answer, table.Ask(5, situation, kRules));
  EXPECT_EQ(answer.lease, (Lease{5, 5, v1::LeaseStepsResponse::SAVE_AND_STOP}));
}

TEST(LeaseTableTest, ARunThatIsDoneIsNotCancelledAnyMore) {
  LeaseTable table(10);
  const LeaseSituation situation{
      .total_steps = 10, .cancel_requested = true, .step_time = {}};
  ASSERT_OK_AND_ASSIGN(const auto answer, table.Ask(10, situation, kRules));
  EXPECT_EQ(answer.lease.then, v1::LeaseStepsResponse::FINISH);
}

}  // namespace
}  // namespace varalign::coordinator
