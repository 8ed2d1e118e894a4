#include "coordinator/verdict.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace varalign::coordinator {
namespace {

using ::testing::AllOf;
using ::testing::HasSubstr;

const VerdictRules kRules;
constexpr auto kFinish = v1::LeaseStepsResponse::FINISH;
constexpr auto kSaveAndStop = v1::LeaseStepsResponse::SAVE_AND_STOP;

absl::Duration At(double seconds) { return absl::Seconds(seconds); }

RankExit Exit(int32_t code, int32_t signal, double heard_at) {
  return {.code = code,
          .signal = signal,
          .last_lines = "",
          .heard_at = At(heard_at)};
}

// Two ranks, heard of at 99 s; a verdict is asked for at 100 s.
class VerdictTest : public ::testing::Test {
 protected:
  VerdictTest() {
    view_.formed_at = At(50);
    view_.total_steps = 10;
    for (uint32_t rank = 0; rank < 2; ++rank) {
      RankView& member = view_.ranks.emplace_back();
      member.rank = rank;
      member.host = "node";
      member.pid = 100 + rank;
      member.has_spoken = true;
      member.rank_heard = member.slot_heard = At(99);
    }
  }

  Verdict Judge(double now = 100) {
    return coordinator::Judge(view_, kRules, At(now));
  }
  bool Stands(double now = 100) {
    return std::holds_alternative<coordinator::Stands>(Judge(now));
  }
  // The reason of a failure; "" if there is none.
  std::string Failure(double now = 100) {
    const Verdict verdict = Judge(now);
    const auto* failed = std::get_if<Failed>(&verdict);
    return failed == nullptr ? "" : failed->reason;
  }
  int32_t ExitCode(double now = 100) {
    const Verdict verdict = Judge(now);
    const auto* failed = std::get_if<Failed>(&verdict);
    return failed == nullptr ? -1 : failed->exit_code;
  }

  GroupView view_;
};

TEST_F(VerdictTest, AGroupThatIsHeardOfStands) { EXPECT_TRUE(Stands()); }

TEST_F(VerdictTest, AKilledRankIsNamedAtOnce) {
  view_.ranks[1].exit = Exit(0, 9, 100);
  view_.ranks[1].exit->last_lines = "step 3\nstep 4";
  EXPECT_THAT(Failure(), AllOf(HasSubstr("rank 1 on node (pid 101)"),
                               HasSubstr("SIGKILL"), HasSubstr("step 4")));
  EXPECT_EQ(ExitCode(), 70);
}

TEST_F(VerdictTest, ARankThatWasHurtIsNotBlamedForTheDeathOfAnother) {
  // Rank 0 saw a broken collective before the exit of rank 1 was reported.
  view_.ranks[0].exit = Exit(70, 0, 99.5);
  EXPECT_TRUE(Stands());
  view_.ranks[1].exit = Exit(0, 9, 100);
  EXPECT_THAT(Failure(), HasSubstr("rank 1 on node"));
}

TEST_F(VerdictTest, ARankWhoseConnectionBrokeIsBlamedBeforeOneThatLeft) {
  view_.ranks[0].exit = Exit(69, 0, 99);
  view_.ranks[1].gone_since = At(98.9);
  EXPECT_TRUE(Stands());  // its exit may still be reported
  EXPECT_THAT(Failure(100.6), HasSubstr("rank 1 on node"));
}

TEST_F(VerdictTest, ALauncherThatStopsAllIsNotTheCulprit) {
  view_.ranks[0].exit = Exit(0, 15, 99.5);
  EXPECT_TRUE(Stands());
  view_.ranks[1].exit = Exit(0, 11, 99.9);
  EXPECT_THAT(Failure(), HasSubstr("SIGSEGV"));
}

TEST_F(VerdictTest, TheFirstThatLeftIsBlamedWhereNobodyElseIs) {
  view_.ranks[0].exit = Exit(70, 0, 99.9);
  view_.ranks[1].exit = Exit(70, 0, 99.5);
  EXPECT_THAT(Failure(), HasSubstr("rank 1 on node"));
}

TEST_F(VerdictTest, CodesOfOurContractBecomeTheCodeOfTheRun) {
  const struct {
    int32_t code;
    int32_t run;
  } kCases[] = {{65, 65}, {74, 74}, {75, 75}, {78, 78},
                {93, 93}, {1, 70},  {137, 70}};
  for (const auto& [code, run] : kCases) {
    view_.ranks[0].exit = Exit(code, 0, 100);
    EXPECT_EQ(ExitCode(), run) << code;
  }
}

TEST_F(VerdictTest, ARankThatLeavesEarlyFailsTheRun) {
  view_.ranks[0].exit = Exit(0, 0, 100);
  EXPECT_THAT(Failure(), HasSubstr("before the run was done"));
  EXPECT_EQ(ExitCode(), 70);
}

TEST_F(VerdictTest, SilenceIsLimited) {
  view_.ranks[1].rank_heard = At(90);
  EXPECT_TRUE(Stands());
  view_.ranks[1].rank_heard = At(89.9);
  EXPECT_THAT(Failure(), AllOf(HasSubstr("rank 1 on node (pid 101) is lost"),
                               HasSubstr("its process for 10.1s")));
  view_.ranks[1].rank_heard = At(99);
  view_.ranks[0].slot_heard = At(89.9);
  EXPECT_THAT(Failure(), HasSubstr("rank 0 on node (pid 100) is lost"));
}

TEST_F(VerdictTest, ABrokenConnectionShortensThePatience) {
  view_.ranks[1].gone_since = At(95);
  EXPECT_TRUE(Stands());
  view_.ranks[1].gone_since = At(94.9);
  EXPECT_THAT(Failure(), HasSubstr("connection broke"));
}

TEST_F(VerdictTest, ARankHasAMinuteForItsFirstWord) {
  view_.ranks[1].has_spoken = false;
  view_.ranks[1].rank_heard = At(50);
  EXPECT_TRUE(Stands());
  view_.formed_at = At(39.9);
  EXPECT_THAT(Failure(), HasSubstr("since the start"));
}

TEST_F(VerdictTest, ARankThatLeftAsToldIsNotMissed) {
  view_.ending = kFinish;
  view_.ranks[0].exit = Exit(0, 0, 50);
  view_.ranks[0].rank_heard = view_.ranks[0].slot_heard = At(50);
  EXPECT_TRUE(Stands());
}

TEST_F(VerdictTest, EndsAsTheLeaseSaid) {
  view_.step = view_.checkpoint_step = 10;
  view_.ending = kFinish;
  view_.ranks[0].exit = view_.ranks[1].exit = Exit(0, 0, 99);
  EXPECT_EQ(Judge(), Verdict(Done{v1::SUCCEEDED}));
  view_.ending = kSaveAndStop;
  EXPECT_THAT(Failure(), HasSubstr("before the run was done"));
  view_.ranks[0].exit = view_.ranks[1].exit = Exit(93, 0, 99);
  EXPECT_EQ(Judge(), Verdict(Done{v1::CANCELLED}));
}

TEST_F(VerdictTest, DoesNotBelieveInSuccessWithoutStepsOrCheckpoint) {
  view_.ending = kFinish;
  view_.ranks[0].exit = view_.ranks[1].exit = Exit(0, 0, 99);
  view_.step = 9;
  EXPECT_THAT(Failure(), HasSubstr("step 9 of 10"));
  view_.step = 10;
  view_.checkpoint_step = 8;
  EXPECT_THAT(Failure(), HasSubstr("the newest is of step 8"));
}

TEST_F(VerdictTest, ARankThatStaysAwayAfterARestartIsNamed) {
  view_.ranks[1].is_awaited = true;
  view_.ranks[1].rank_heard = At(80);
  EXPECT_THAT(Failure(),
              AllOf(HasSubstr("rank 1 on node"), HasSubstr("after a restart")));
}

}  // namespace
}  // namespace varalign::coordinator
