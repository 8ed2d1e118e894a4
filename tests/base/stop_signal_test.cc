#include "base/stop_signal.h"

#include <signal.h>
#include <unistd.h>

#include <cstdlib>
#include <thread>

#include "base/exit_code.h"
#include "gtest/gtest.h"

namespace varalign::base {
namespace {

using ::testing::ExitedWithCode;

// Signals belong to a process: each case has one of its own.
[[noreturn]] void ExitWith(bool good) { std::_Exit(good ? 0 : 1); }

TEST(StopSignalTest, TheFirstIsARequestAndTheNextEndsTheProcess) {
  EXPECT_EXIT(
      {
        CatchStopSignals(1);
        const bool quiet = StopSignalCount() == 0 && FirstStopSignal() == 0;
        raise(SIGINT);
        ExitWith(quiet && StopSignalCount() == 1 &&
                 FirstStopSignal() == SIGINT);
      },
      ExitedWithCode(0), "");
  EXPECT_EXIT(
      {
        CatchStopSignals(1);
        raise(SIGINT);
        raise(SIGTERM);
        ExitWith(false);
      },
      ExitedWithCode(128 + SIGTERM), "");
}

TEST(StopSignalTest, AClosedTerminalIsARequestUnlessSomebodyIgnoresIt) {
  EXPECT_EXIT(
      {
        CatchStopSignals(1);
        raise(SIGHUP);
        ExitWith(FirstStopSignal() == SIGHUP);
      },
      ExitedWithCode(0), "");
  EXPECT_EXIT(
      {
        signal(SIGHUP, SIG_IGN);  // nohup
        CatchStopSignals(0);
        raise(SIGHUP);
        ExitWith(StopSignalCount() == 0);
      },
      ExitedWithCode(0), "");
}

TEST(StopSignalTest, BeforeThereIsAnythingToStopOneIsEnough) {
  EXPECT_EXIT(
      {
        CatchStopSignals(0);
        raise(SIGTERM);
        ExitWith(false);
      },
      ExitedWithCode(128 + SIGTERM), "");
}

TEST(StopSignalTest, SomeProgramsOnlyCount) {
  EXPECT_EXIT(
      {
        CatchStopSignals(kAnyNumber);
        raise(SIGTERM);
        raise(SIGINT);
        raise(SIGINT);
        ExitWith(StopSignalCount() == 3 && FirstStopSignal() == SIGTERM);
      },
      ExitedWithCode(0), "");
}

TEST(StopSignalTest, AProgramEndsAsItsFirstSignalSays) {
  EXPECT_EXIT(
      {
        CatchStopSignals(kAnyNumber);
        raise(SIGTERM);
        raise(SIGINT);
        const absl::Status status = InterruptedStatus("while it started");
        std::_Exit(absl::IsCancelled(status) ? ExitCodeFor(status) : 1);
      },
      ExitedWithCode(128 + SIGTERM), "");
}

TEST(StopSignalTest, AWaitEndsWithTheSignalOrItsTime) {
  EXPECT_EXIT(
      {
        CatchStopSignals(0);
        CatchStopSignals(1);
        const bool late = AwaitStopSignal(absl::Milliseconds(1));
        std::thread sender([] { kill(getpid(), SIGTERM); });
        const bool came = AwaitStopSignal(absl::Minutes(1));
        sender.join();
        ExitWith(!late && came && AwaitStopSignal(absl::ZeroDuration()));
      },
      ExitedWithCode(0), "");
}

}  // namespace
}  // namespace varalign::base
