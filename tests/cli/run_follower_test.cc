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
    event.mutable_progress()->set_unit("rows");
    return Shown(event);
  }

  void Start(Output output) {
    v1::Run run;
    run.set_name("first");
    run.set_total_steps(100);
    follower_ = std::make_unique<RunFollower>(run, output, clock_, kLiveFrom);
  }

  std::string State(v1::RunState to) {
    v1::RunEvent event;
    event.mutable_state()->set_to(to);
    return Shown(event);
  }

  std::string Evaluation(uint64_t step, double reward) {
    v1::RunEvent event;
    event.mutable_evaluation()->set_step(step);
    event.mutable_evaluation()->set_expected_reward(reward);
    return Shown(event);
  }

  inline static const absl::Time kLiveFrom =
      absl::UnixEpoch() + absl::Hours(10);

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

// Whatever else is told does not put off the next step.
TEST_F(RunFollowerTest, OtherLinesDoNotChangeThePaceOfSteps) {
  Start(Output::kPlain);
  Counted(1000);
  EXPECT_THAT(Step(0), HasSubstr("step 1 "));
  clock_.Advance(absl::Seconds(6));
  Counted(0);
  EXPECT_EQ(Step(1), "");
  clock_.Advance(absl::Seconds(4));
  EXPECT_THAT(Step(2), HasSubstr("step 3 "));
}

TEST_F(RunFollowerTest, TheLastStepBeforeTheEndIsTold) {
  Start(Output::kPlain);
  Step(0);
  clock_.Advance(absl::Seconds(1));
  EXPECT_EQ(Step(1), "");
  EXPECT_EQ(Step(2), "");
  EXPECT_THAT(State(v1::CANCELLED),
              AllOf(HasSubstr("step 3 "), HasSubstr("state CANCELLED"),
                    Not(HasSubstr("step 2 "))));
  EXPECT_EQ(State(v1::QUEUED), "state QUEUED\n");
}

// A run that goes on: what it has behind it is no news.
TEST_F(RunFollowerTest, HistoryIsNotShown) {
  for (const Output output : {Output::kPlain, Output::kTerminal}) {
    Start(output);
    v1::RunEvent event;
    event.mutable_step()->set_step(3);
    event.mutable_time()->set_seconds(
        absl::ToUnixSeconds(kLiveFrom - absl::Seconds(1)));
    EXPECT_EQ(Shown(event), "");
    event.mutable_time()->set_seconds(absl::ToUnixSeconds(kLiveFrom));
    EXPECT_THAT(Shown(event), HasSubstr("step 4"));
  }
}

TEST_F(RunFollowerTest, ATerminalShowsTheHeldOutReward) {
  Start(Output::kTerminal);
  EXPECT_THAT(Step(0), Not(HasSubstr("reward")));
  EXPECT_THAT(Evaluation(0, 0.25),
              AllOf(HasSubstr("  held-out reward 0.2500\n"),
                    Not(HasSubstr("at first"))));
  EXPECT_THAT(Evaluation(50, 0.5),
              HasSubstr("  held-out reward 0.5000 (at first 0.2500)\n"));
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
