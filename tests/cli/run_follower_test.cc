#include "cli/run_follower.h"

#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "tests/testing/fake_clock.h"

namespace varalign::cli {
namespace {

using ::testing::AllOf;
using ::testing::HasSubstr;
using ::testing::Not;

class RunFollowerTest : public ::testing::Test {
 protected:
  // What one more event puts on standard error.
  std::string Shown(const v1::RunEvent& event) {
    ::testing::internal::CaptureStderr();
    follower_->Show(event);
    return ::testing::internal::GetCapturedStderr();
  }

  std::string Step(uint64_t number) {
    v1::RunEvent event;
    event.mutable_step()->set_step(number);
    return Shown(event);
  }

  std::string Activity(const std::string& activity) {
    v1::RunEvent event;
    event.mutable_progress()->set_activity(activity);
    return Shown(event);
  }

  // So many of 1,000 rows.
  std::string Counted(uint64_t done) {
    v1::RunEvent event;
    event.mutable_progress()->set_activity("scoring");
    event.mutable_progress()->set_done(done);
    event.mutable_progress()->set_total(1000);
    return Shown(event);
  }

  void Start(Output output) {
    follower_ = std::make_unique<RunFollower>("first", 100, output, clock_);
  }

  varalign::testing::FakeClock clock_;
  std::unique_ptr<RunFollower> follower_;
};

TEST_F(RunFollowerTest, PlainLinesOfStepsComeEveryTenSecondsAndAtTheEnd) {
  Start(Output::kPlain);
  EXPECT_THAT(Step(0), HasSubstr("step 1 "));
  clock_.Advance(absl::Seconds(9));
  EXPECT_EQ(Step(1), "");
  clock_.Advance(absl::Seconds(1));
  EXPECT_THAT(Step(2), HasSubstr("step 3 "));
  EXPECT_THAT(Step(99), HasSubstr("step 100 "));
}

TEST_F(RunFollowerTest, PlainLinesSayWhatIsDoneOnceUntilSomethingElseHappens) {
  Start(Output::kPlain);
  EXPECT_EQ(Activity("evaluating"), "evaluating\n");
  EXPECT_EQ(Activity("evaluating"), "");
  Step(0);
  EXPECT_EQ(Activity("evaluating"), "evaluating\n");
}

TEST_F(RunFollowerTest, CountedWorkIsToldWithRateAndTimeLeft) {
  Start(Output::kPlain);
  EXPECT_THAT(Counted(0), HasSubstr("scoring 0/1000 rows"));
  clock_.Advance(absl::Seconds(5));
  EXPECT_EQ(Counted(100), "");
  clock_.Advance(absl::Seconds(5));
  EXPECT_THAT(Counted(200),
              AllOf(HasSubstr("200/1000 rows 20%"), HasSubstr("20.0 rows/s"),
                    HasSubstr("40s left")));
  EXPECT_THAT(Counted(1000), HasSubstr("1000/1000 rows"));
}

// Who begins to watch in the middle has not seen the first half go by.
TEST_F(RunFollowerTest, ThePaceIsOfWhatWasSeen) {
  Start(Output::kTerminal);
  Counted(500);
  clock_.Advance(absl::Seconds(10));
  EXPECT_THAT(Counted(600),
              AllOf(HasSubstr("10.0 rows/s"), HasSubstr("40s left")));
}

// A resumed run scores from its start: the old pace is no more.
TEST_F(RunFollowerTest, CountingThatBeginsAgainHasAPaceOfItsOwn) {
  Start(Output::kPlain);
  Counted(500);
  clock_.Advance(absl::Seconds(10));
  Counted(900);
  clock_.Advance(absl::Seconds(100));
  EXPECT_THAT(Counted(100), HasSubstr(" 0.0 rows/s"));
  clock_.Advance(absl::Seconds(10));
  EXPECT_THAT(Counted(600), HasSubstr(" 50.0 rows/s"));
}

TEST_F(RunFollowerTest, ATerminalIsRedrawnTenTimesASecondAtMost) {
  Start(Output::kTerminal);
  EXPECT_THAT(Step(0), HasSubstr("step 1/100 (1 %)"));
  clock_.Advance(absl::Milliseconds(99));
  EXPECT_EQ(Step(1), "");
  clock_.Advance(absl::Milliseconds(1));
  EXPECT_THAT(Step(2), HasSubstr("step 3/100"));
}

TEST_F(RunFollowerTest, ATerminalSaysWhenTheRunWillBeDone) {
  Start(Output::kTerminal);
  EXPECT_THAT(Step(9), Not(HasSubstr("ETA")));
  clock_.Advance(absl::Seconds(20));
  // Ten steps in 20 s, 80 to go.
  EXPECT_THAT(Step(19),
              AllOf(HasSubstr("step 20/100"), HasSubstr("ETA 2 m 40 s")));
}

TEST_F(RunFollowerTest, ATerminalShowsWhatIsDoneUntilTheNextStep) {
  Start(Output::kTerminal);
  EXPECT_THAT(Activity("checking the reward server"),
              HasSubstr("checking the reward server"));
  clock_.Advance(absl::Seconds(1));
  EXPECT_THAT(Step(0), Not(HasSubstr("checking")));
}

}  // namespace
}  // namespace varalign::cli
