// The whole coordinator over a disk that stalls.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <atomic>
#include <thread>

#include "absl/time/clock.h"
#include "tests/coordinator/coordinator_fixture.h"
#include "tests/coordinator/stalled_disk.h"

namespace varalign::coordinator {
namespace {

using ::testing::HasSubstr;
using ::varalign::testing::StatusIs;
using Code = absl::StatusCode;

class SlowDiskTest : public CoordinatorTest {
 protected:
  std::filesystem::path database() const {
    return options_.state_directory / "coordinator.db";
  }

  // Repeats it as a client does that is told to try again.
  absl::StatusOr<v1::Run> SubmitPatiently(const v1::SubmitRunRequest& request) {
    absl::StatusOr<v1::Run> run = Submit(request);
    for (int i = 0; i < 50 && absl::IsUnavailable(run.status()); ++i) {
      run = Submit(request);
    }
    return run;
  }
  int NumRuns() {
    const auto list =
        CallRuns(&v1::RunService::Stub::ListRuns, v1::ListRunsRequest());
    EXPECT_OK(list);
    return list.ok() ? list->runs_size() : -1;
  }
};

TEST_F(SlowDiskTest, AStallIsNobodysSilence) {
  options_.rules.sleep_limit = absl::Milliseconds(300);
  options_.rules.verdict.silence_limit = absl::Seconds(2);
  Start();
  ASSERT_OK(RegisterSlot("s"));
  ASSERT_OK_AND_ASSIGN(const v1::Run run, Submit(NewRequest("a")));
  const v1::RankIdentity rank = AwaitStart("s");
  const v1::ProcessStatus running = Running(rank);
  ASSERT_OK(BeatSlot("s", &running));
  ASSERT_OK(Lease(rank, 0));
  std::atomic<bool> alive = true;
  std::thread process([&] {
    while (alive) BeatRank(rank).IgnoreError();
  });
  std::thread slot([&] {
    while (alive) BeatSlot("s", &running).IgnoreError();
  });
  std::thread report;
  {
    const StalledDisk stalled(database());
    report = std::thread([&] { EXPECT_OK(Report(rank, 0)); });
    absl::SleepFor(absl::Milliseconds(3500));
  }
  report.join();
  ASSERT_OK_AND_ASSIGN(const v1::Run going_on, Get(run.run_id()));
  EXPECT_EQ(going_on.state(), v1::RUNNING) << going_on.reason();
  EXPECT_EQ(going_on.step(), 1u);
  // Silence counts again.
  alive = false;
  process.join();
  slot.join();
  WatchToEnd(run.run_id());
  ASSERT_OK_AND_ASSIGN(const v1::Run failed, Get(run.run_id()));
  EXPECT_THAT(failed.reason(), HasSubstr("no word from"));
}

TEST_F(SlowDiskTest, ARequestThatIsRepeatedDuringAStallMakesOneRun) {
  options_.rules.commit_limit = absl::Milliseconds(200);
  Start();
  {
    const StalledDisk stalled(database());
    // The channel itself repeats what is Unavailable.
    EXPECT_THAT(Submit(NewRequest("a")), StatusIs(Code::kUnavailable));
  }
  ASSERT_OK_AND_ASSIGN(const v1::Run run, SubmitPatiently(NewRequest("a")));
  EXPECT_OK(coordinator_->health());
  EXPECT_EQ(NumRuns(), 1);
  EXPECT_EQ(Get(run.run_id())->state(), v1::QUEUED);
}

TEST_F(SlowDiskTest, ARunIsQueuedOnceByTwoThatResumeItDuringAStall) {
  options_.rules.commit_limit = absl::Milliseconds(100);
  Start();
  ASSERT_OK_AND_ASSIGN(const v1::Run run, SubmitPatiently(NewRequest("a")));
  ASSERT_OK(Cancel(run.run_id()));
  v1::SubmitRunRequest one, other;
  one.set_request_id("b");
  other.set_request_id("c");
  for (v1::SubmitRunRequest* resume : {&one, &other}) {
    resume->set_resume_run_id(run.run_id());
  }
  {
    const StalledDisk stalled(database());
    EXPECT_THAT(Submit(one), StatusIs(Code::kUnavailable));
    EXPECT_THAT(Submit(other), StatusIs(Code::kUnavailable));
  }
  EXPECT_THAT(SubmitPatiently(other), StatusIs(Code::kFailedPrecondition));
  EXPECT_OK(SubmitPatiently(one));
  EXPECT_OK(coordinator_->health());
}

}  // namespace
}  // namespace varalign::coordinator
