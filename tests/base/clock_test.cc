#include "base/clock.h"

#include <gtest/gtest.h>

#include "absl/time/clock.h"
#include "tests/testing/fake_clock.h"

namespace varalign::base {
namespace {

TEST(ClockTest, MonotonicTimeNeverFalls) {
  const SystemClock clock;
  absl::Duration last = clock.MonotonicNow();
  for (int i = 0; i < 1000; ++i) {
    const absl::Duration now = clock.MonotonicNow();
    ASSERT_GE(now, last);
    last = now;
  }
}

TEST(ClockTest, WallTimeIsTheSystems) {
  const absl::Time before = absl::Now();
  const absl::Time now = SystemClock().WallNow();
  EXPECT_GE(now, before);
  EXPECT_LE(now, absl::Now());
}

TEST(FakeClockTest, MovesOnlyByHand) {
  testing::FakeClock clock;
  const absl::Time wall = clock.WallNow();
  const absl::Duration monotonic = clock.MonotonicNow();
  EXPECT_EQ(absl::FormatTime(wall, absl::UTCTimeZone()),
            "2026-01-02T03:04:05+00:00");
  clock.Advance(absl::Seconds(3));
  EXPECT_EQ(clock.WallNow(), wall + absl::Seconds(3));
  EXPECT_EQ(clock.MonotonicNow(), monotonic + absl::Seconds(3));
  clock.SetWall(wall - absl::Hours(1));
  EXPECT_EQ(clock.WallNow(), wall - absl::Hours(1));
  EXPECT_EQ(clock.MonotonicNow(), monotonic + absl::Seconds(3));
}

}  // namespace
}  // namespace varalign::base
