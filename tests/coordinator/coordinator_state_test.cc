// The state machine alone, its clock moved by hand.
#include "coordinator/coordinator_state.h"

#include <gtest/gtest.h>

#include <memory>
#include <variant>

#include "base/version.h"
#include "tests/testing/status_matchers.h"

namespace varalign::coordinator {
namespace {

StoredState NothingOf(uint64_t incarnation) {
  StoredState stored;
  stored.incarnation = incarnation;
  return stored;
}

// One run of one worker whose slot falls silent, so that nobody knows whether
// its last lease is still being used.
class SilentGroupTest : public ::testing::Test {
 protected:
  SilentGroupTest() {
    v1::Run run;
    run.set_run_id("r");
    run.set_directory("/runs/r");
    run.set_total_steps(100);
    run.mutable_config()->mutable_train()->set_workers(1);
    EXPECT_OK(state_->AddRun({.request_id = "a", .digest = "", .run_id = "r"},
                             run, Time()));
    Register("lost");
    AwaitGeneration(1, "lost");
    // Its process runs, and is not heard of again but by what it asks for.
    v1::HeartbeatRequest request;
    request.mutable_slot()->set_slot_id("lost");
    v1::ProcessStatus& process = *request.mutable_slot()->mutable_process();
    *process.mutable_identity() = Identity();
    process.set_pid(4711);
    EXPECT_OK(state_->Hear(request, Time()));
  }

  Now Time() const {
    return {.monotonic = absl::Seconds(seconds_),
            .wall = absl::FromUnixSeconds(1000000 + seconds_)};
  }
  v1::RankIdentity Identity() const {
    v1::RankIdentity identity;
    identity.set_run_id("r");
    identity.mutable_token()->set_incarnation(1);
    identity.mutable_token()->set_generation(1);
    return identity;
  }
  void Register(const std::string& slot_id) {
    v1::RegisterRequest request;
    request.set_slot_id(slot_id);
    request.set_host("node");
    request.set_launcher_rank(-1);
    request.set_protocol(base::kProtocol);
    EXPECT_OK(state_->Register(request, Time()));
  }
  v1::LeaseStepsResponse Lease(uint64_t begin) {
    v1::LeaseStepsRequest request;
    *request.mutable_identity() = Identity();
    request.set_begin(begin);
    const auto lease = state_->LeaseSteps(request, Time());
    EXPECT_OK(lease);
    return lease.value_or(v1::LeaseStepsResponse());
  }
  void Report(uint64_t step) {
    v1::ReportStepRequest request;
    *request.mutable_identity() = Identity();
    request.mutable_step()->set_step(step);
    request.mutable_step()->set_seconds(1);
    EXPECT_OK(state_->Report(request, Time()));
  }

  // A second passes; the slots in `beating` are heard of.
  void Tick(const std::vector<std::string>& beating = {}) {
    ++seconds_;
    for (const std::string& slot_id : beating) {
      v1::HeartbeatRequest request;
      request.mutable_slot()->set_slot_id(slot_id);
      EXPECT_OK(state_->Hear(request, Time()));
    }
    state_->Tick(Time());
    Look();
  }
  void Look() {
    for (const Change& change : state_->TakeEffects().changes) {
      if (const auto* put = std::get_if<PutRun>(&change)) record_ = put->record;
    }
  }
  void AwaitFailure() {
    for (int i = 0; i < 30 && record_.run.state() != v1::FAILED; ++i) Tick();
    ASSERT_EQ(record_.run.state(), v1::FAILED);
    ASSERT_FALSE(record_.group_has_ended);
  }
  void Resume() {
    EXPECT_OK(state_->ResumeRun(
        {.request_id = "b", .digest = "", .run_id = "r"}, record_, 0, Time()));
    Register("new");
  }
  // Seconds until the generation forms; gives up after twenty minutes.
  int AwaitGeneration(uint64_t generation, const std::string& slot_id) {
    for (int waited = 0; waited < 1200; ++waited) {
      Tick({slot_id});
      if (record_.run.generation() == generation) return waited;
    }
    ADD_FAILURE() << "no generation " << generation;
    return -1;
  }

  const Rules rules_;
  int64_t seconds_ = 5000;
  std::unique_ptr<CoordinatorState> state_ =
      std::make_unique<CoordinatorState>(rules_, NothingOf(1), Time());
  RunRecord record_;
};

// The first lease holds for ten minutes, as no step was measured; those after
// it for one.
TEST_F(SilentGroupTest, ResumeWaitsForTheLastLeaseNotForTheLongest) {
  EXPECT_EQ(Lease(0).valid_for().seconds(), 600);
  Report(0);
  const v1::LeaseStepsResponse second = Lease(1);
  EXPECT_EQ(second.valid_for().seconds(), 60);
  AwaitFailure();
  Resume();
  const int waited = AwaitGeneration(2, "new");
  EXPECT_LE(waited, 60);
  EXPECT_GE(waited, 45) << "the second lease may still be used";
}

TEST_F(SilentGroupTest, ResumeDoesNotWaitForTimeThatHasPassed) {
  EXPECT_EQ(Lease(0).valid_for().seconds(), 600);
  AwaitFailure();
  for (int i = 0; i < 540; ++i) Tick();
  Resume();
  const int waited = AwaitGeneration(2, "new");
  EXPECT_GE(waited, 50) << "the lease may still be used";
  EXPECT_LE(waited, 61);
}

TEST_F(SilentGroupTest, ResumeLongAfterwardsWaitsForNothing) {
  Lease(0);
  AwaitFailure();
  for (int i = 0; i < 700; ++i) Tick();
  Resume();
  EXPECT_LE(AwaitGeneration(2, "new"), 1);
}

// A restarted coordinator does not know when the group was given up.
TEST_F(SilentGroupTest, ARestartBringsTheWholeWaitBack) {
  Lease(0);
  AwaitFailure();
  for (int i = 0; i < 700; ++i) Tick();
  state_ = std::make_unique<CoordinatorState>(rules_, NothingOf(2), Time());
  Resume();
  const int waited = AwaitGeneration(2, "new");
  EXPECT_GE(waited, 590);
  EXPECT_LE(waited, 601);
}

// Where all processes end with the coordinator, nobody can use a lease of
// before.
TEST_F(SilentGroupTest, ARestartWithANewPoolFailsTheRunAndVoidsItsLease) {
  EXPECT_EQ(Lease(0).valid_for().seconds(), 600);
  Look();
  ASSERT_EQ(record_.run.state(), v1::RUNNING);
  StoredState stored = NothingOf(2);
  stored.runs.push_back(record_);
  Rules rules;
  rules.pool = Pool::kIsNew;
  state_ = std::make_unique<CoordinatorState>(rules, stored, Time());
  Look();
  EXPECT_EQ(record_.run.state(), v1::FAILED);
  EXPECT_EQ(record_.run.exit_code(), 69);
  Resume();
  EXPECT_LE(AwaitGeneration(2, "new"), 1);
}

TEST_F(SilentGroupTest, ANewPoolVoidsTheLeasesOfRunsThatFailedBefore) {
  Lease(0);
  AwaitFailure();
  Rules rules;
  rules.pool = Pool::kIsNew;
  state_ = std::make_unique<CoordinatorState>(rules, NothingOf(2), Time());
  Resume();
  EXPECT_LE(AwaitGeneration(2, "new"), 1);
}

TEST_F(SilentGroupTest, AllStepsLeasedAndDoneLeaveNothingToWaitFor) {
  const v1::LeaseStepsResponse first = Lease(0);
  for (uint64_t step = 0; step < first.end(); ++step) Report(step);
  AwaitFailure();
  Resume();
  EXPECT_LE(AwaitGeneration(2, "new"), 1);
}

}  // namespace
}  // namespace varalign::coordinator
