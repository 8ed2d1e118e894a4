// A supervisor with a coordinator that is told what to say, and shell scripts
// in place of the trainer.
#include "worker/supervisor.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <atomic>
#include <csignal>
#include <fstream>

#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"
#include "base/clock.h"
#include "telemetry/metrics.h"
#include "tests/testing/status_matchers.h"
#include "tests/testing/temp_directory.h"
#include "tests/worker/fake_coordinator.h"

namespace varalign::worker {
namespace {

using ::testing::HasSubstr;

// The supervisor runs in the test's thread (its child dies with that), the
// story in another.
class SupervisorTest : public ::testing::Test {
 protected:
  void Run(const std::string& script, const std::function<void()>& story) {
    const std::filesystem::path trainer = directory_ / "trainer";
    std::ofstream(trainer) << "#!/bin/sh\n" << script << "\n";
    std::filesystem::permissions(trainer, std::filesystem::perms::owner_all);
    SlotLink::Options options{.target = coordinator_.address(), .slot = {}};
    options.slot.set_slot_id("slot-1");
    const auto link = *SlotLink::Start(std::move(options), clock_);
    telemetry::Registry registry("worker");
    SupervisorMetrics metrics(registry);
    Supervisor supervisor({.coordinator = coordinator_.address(),
                           .reward_servers = {},
                           .trainer = trainer,
                           .log_directory = directory_.path(),
                           .trainer_metrics_address_file = "",
                           .stop_grace = absl::Milliseconds(200)},
                          *link, clock_, metrics);
    std::thread teller([&] {
      story();
      stop_ = true;
    });
    EXPECT_OK(supervisor.Run([this] { return stop_.load(); }));
    teller.join();
  }

  static v1::RankIdentity Identity(uint64_t generation = 1) {
    v1::RankIdentity identity;
    identity.set_run_id("r");
    identity.mutable_token()->set_incarnation(1);
    identity.mutable_token()->set_generation(generation);
    return identity;
  }
  void Start(uint64_t generation = 1) {
    v1::HeartbeatResponse directive;
    *directive.mutable_start()->mutable_identity() = Identity(generation);
    directive.mutable_start()->set_world_size(1);
    directive.mutable_start()->set_ranks_on_host(1);
    coordinator_.Direct(directive);
  }
  void Stop(uint64_t generation = 1) {
    v1::HeartbeatResponse directive;
    *directive.mutable_stop()->mutable_identity() = Identity(generation);
    directive.mutable_stop()->set_reason("test");
    coordinator_.Direct(directive);
  }
  void Acknowledge() {
    v1::HeartbeatResponse directive;
    *directive.mutable_acknowledge_exit()->mutable_identity() = Identity();
    coordinator_.Direct(directive);
  }
  std::optional<v1::SlotHeartbeat> AwaitRunning() {
    return coordinator_.AwaitHeartbeat([](const v1::SlotHeartbeat& heartbeat) {
      return heartbeat.process().pid() != 0 && !heartbeat.process().exited();
    });
  }
  std::optional<v1::SlotHeartbeat> AwaitExit() {
    return coordinator_.AwaitHeartbeat([](const v1::SlotHeartbeat& heartbeat) {
      return heartbeat.process().exited();
    });
  }

  const base::SystemClock clock_;
  const testing::TempDirectory directory_;
  FakeCoordinator coordinator_;
  std::atomic<bool> stop_ = false;
};

TEST_F(SupervisorTest, TellsOfTheTrainerFromItsStartToItsEnd) {
  Run("echo \"given: $*\" >&2; exit 65", [this] {
    Start();
    const auto exit = AwaitExit();
    ASSERT_TRUE(exit.has_value());
    EXPECT_EQ(exit->process().exit_code(), 65);
    EXPECT_EQ(exit->process().signal(), 0);
    EXPECT_EQ(exit->process().identity().run_id(), "r");
    EXPECT_THAT(exit->process().last_lines(), HasSubstr("given: "));
    EXPECT_THAT(exit->process().last_lines(),
                HasSubstr(coordinator_.address()));
    // Until it is acknowledged, every heartbeat says so.
    EXPECT_TRUE(coordinator_.heartbeats().back().process().exited());
    Acknowledge();
    const auto idle = coordinator_.AwaitHeartbeat(
        [seen = false](const v1::SlotHeartbeat& heartbeat) mutable {
          seen = seen || heartbeat.process().exited();
          return seen && !heartbeat.has_process();
        });
    EXPECT_TRUE(idle.has_value());
  });
}

// Until a trainer's shell has made it; ten seconds at most.
void AwaitFile(const std::filesystem::path& path) {
  for (int i = 0; i < 1000 && !std::filesystem::exists(path); ++i) {
    absl::SleepFor(absl::Milliseconds(10));
  }
}

TEST_F(SupervisorTest, ATrainerThatIgnoresSigtermIsKilled) {
  const std::filesystem::path ready = directory_ / "ready";
  const std::string script = absl::StrCat(
      "trap '' TERM; touch ", ready.string(), "; while :; do sleep 0.05; done");
  Run(script, [this, &ready] {
    Start();
    ASSERT_TRUE(AwaitRunning().has_value());
    // Its shell ignores the signal only from here on.
    AwaitFile(ready);
    Stop(/*generation=*/2);  // not this one
    Stop();
    const auto exit = AwaitExit();
    ASSERT_TRUE(exit.has_value());
    EXPECT_EQ(exit->process().signal(), SIGKILL);
  });
}

TEST_F(SupervisorTest, ARepeatedStartStartsOneTrainer) {
  const std::filesystem::path runs = directory_ / "runs";
  Run(absl::StrCat("echo x >> ", runs.string(), "; sleep 600"), [this, &runs] {
    Start();
    Start();
    ASSERT_TRUE(AwaitRunning().has_value());
    AwaitFile(runs);
    Stop();
    ASSERT_TRUE(AwaitExit().has_value());
  });
  std::ifstream file(runs);
  const std::string text((std::istreambuf_iterator<char>(file)), {});
  EXPECT_EQ(text, "x\n");
}

TEST_F(SupervisorTest, LeavingEndsTheTrainerAndSaysSo) {
  Run("exec sleep 600", [this] {
    Start();
    ASSERT_TRUE(AwaitRunning().has_value());
  });
  const auto exit = AwaitExit();
  ASSERT_TRUE(exit.has_value());
  EXPECT_EQ(exit->process().signal(), SIGTERM);
}

TEST_F(SupervisorTest, ATrainerThatCannotBeStartedIsAnExit) {
  Run("", [this] {
    std::filesystem::remove(directory_ / "trainer");
    Start();
    const auto exit = AwaitExit();
    ASSERT_TRUE(exit.has_value());
    EXPECT_EQ(exit->process().exit_code(), 70);
    EXPECT_THAT(exit->process().last_lines(),
                HasSubstr("cannot start the trainer"));
  });
}

}  // namespace
}  // namespace varalign::worker
