#include "base/progress.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <pty.h>
#include <unistd.h>

#include <cstdlib>
#include <thread>
#include <vector>

#include "base/progress_line.h"
#include "tests/testing/fake_clock.h"

namespace varalign::base {
namespace {

using ::testing::IsEmpty;

TEST(ProgressLineTest, SaysShareRateAndTimeLeft) {
  EXPECT_EQ(ProgressLine({.activity = "scoring",
                          .unit = "rows",
                          .done = 1200,
                          .total = 4000,
                          .elapsed = absl::Seconds(10)}),
            "scoring 1200/4000 rows 30%, 120.0 rows/s, 24s left");
}

TEST(ProgressLineTest, UnknownTotalHasNeitherShareNorEnd) {
  EXPECT_EQ(ProgressLine({.activity = "reading",
                          .unit = "rows",
                          .done = 50,
                          .total = 0,
                          .elapsed = absl::Seconds(4)}),
            "reading 50 rows, 12.5 rows/s");
}

TEST(ProgressLineTest, BytesAreShownAsMebibytes) {
  EXPECT_EQ(ProgressLine({.activity = "writing",
                          .unit = "bytes",
                          .done = 3 << 20,
                          .total = 6 << 20,
                          .elapsed = absl::Seconds(2)}),
            "writing 3.0/6.0 MiB 50%, 1.5 MiB/s, 2s left");
}

TEST(ProgressLineTest, NothingDoneYetPromisesNoEnd) {
  EXPECT_EQ(ProgressLine({.activity = "a",
                          .unit = "rows",
                          .done = 0,
                          .total = 5,
                          .elapsed = absl::Seconds(2)}),
            "a 0/5 rows 0%, 0.0 rows/s");
}

TEST(ProgressLineTest, ShareIsRoundedDown) {
  EXPECT_THAT(ProgressLine({.activity = "a",
                            .unit = "rows",
                            .done = 999,
                            .total = 1000,
                            .elapsed = absl::Seconds(2)}),
              ::testing::HasSubstr(" 99%"));
}

// When a line is due, at calls every 10 ms for a time.
std::vector<absl::Duration> TimesDue(ProgressScreen screen,
                                     absl::Duration until) {
  ProgressPace pace(screen);
  std::vector<absl::Duration> times;
  for (absl::Duration at; at <= until; at += absl::Milliseconds(10)) {
    if (pace.Due(at)) times.push_back(at);
  }
  return times;
}

TEST(ProgressPaceTest, TerminalIsRedrawnTenTimesASecondAfterTwoSeconds) {
  const auto times =
      TimesDue(ProgressScreen::kTerminal, absl::Milliseconds(2250));
  EXPECT_THAT(times, ::testing::ElementsAre(absl::Milliseconds(2000),
                                            absl::Milliseconds(2100),
                                            absl::Milliseconds(2200)));
}

TEST(ProgressPaceTest, LogGetsALineEveryHalfMinute) {
  EXPECT_THAT(TimesDue(ProgressScreen::kLog, absl::Seconds(29)), IsEmpty());
  EXPECT_THAT(TimesDue(ProgressScreen::kLog, absl::Seconds(70)),
              ::testing::ElementsAre(absl::Seconds(30), absl::Seconds(60)));
}

TEST(ProgressPaceTest, ShortWorkHasNoLastLine) {
  const ProgressPace pace(ProgressScreen::kLog);
  EXPECT_FALSE(pace.DueAtEnd(absl::Milliseconds(1999)));
  EXPECT_TRUE(pace.DueAtEnd(absl::Seconds(2)));
}

TEST(ProgressPaceTest, NoScreenGetsNothing) {
  EXPECT_THAT(TimesDue(ProgressScreen::kNone, absl::Seconds(70)), IsEmpty());
  EXPECT_FALSE(ProgressPace(ProgressScreen::kNone).DueAtEnd(absl::Seconds(70)));
}

// With a real terminal in place of both streams; ends the process.
[[noreturn]] void LookAtScreensOfATerminal() {
  int ours = -1, theirs = -1;
  openpty(&ours, &theirs, nullptr, nullptr, nullptr);
  dup2(theirs, STDOUT_FILENO);
  dup2(theirs, STDERR_FILENO);
  bool good = true;
  for (const auto screen : {ScreenOfStandardError, ScreenOfStandardOutput}) {
    good = good && screen("xterm", nullptr) == ProgressScreen::kTerminal;
    good = good && screen("xterm", "") == ProgressScreen::kLog;
    good = good && screen("dumb", nullptr) == ProgressScreen::kLog;
    good = good && screen(nullptr, nullptr) == ProgressScreen::kLog;
  }
  std::_Exit(good ? 0 : 1);
}

TEST(ProgressTest, DumbTerminalsAndNoColorGetPlainLines) {
  EXPECT_EXIT(LookAtScreensOfATerminal(), ::testing::ExitedWithCode(0), "");
}

TEST(ProgressTest, ShortWorkPrintsNothing) {
  ::testing::internal::CaptureStderr();
  {
    Progress finished("reading", "rows", 10, ProgressScreen::kLog);
    finished.Advance(10);
    finished.Finish();
    Progress dropped("reading", "rows", 10, ProgressScreen::kLog);
    dropped.Update(3);
  }
  EXPECT_EQ(::testing::internal::GetCapturedStderr(), "");
}

TEST(ProgressTest, TakesAdvancesFromManyThreads) {
  testing::FakeClock clock;
  Progress progress("reading", "rows", 4000, ProgressScreen::kLog, clock);
  std::vector<std::thread> threads;
  for (int t = 0; t < 4; ++t) {
    threads.emplace_back([&] {
      for (int i = 0; i < 1000; ++i) progress.Advance(1);
    });
  }
  for (std::thread& thread : threads) thread.join();
  clock.Advance(absl::Seconds(20));
  ::testing::internal::CaptureStderr();
  progress.Finish();
  EXPECT_EQ(::testing::internal::GetCapturedStderr(),
            "reading 4000/4000 rows 100%, 200.0 rows/s, 0 left, done after "
            "20s\n");
}

}  // namespace
}  // namespace varalign::base
