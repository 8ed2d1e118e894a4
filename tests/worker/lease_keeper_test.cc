#include "worker/lease_keeper.h"

#include <vector>

#include "absl/synchronization/notification.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "tests/testing/fake_clock.h"
#include "tests/testing/status_matchers.h"

namespace varalign::worker {
namespace {

using ::testing::ElementsAre;
using ::varalign::testing::IsOkAndHolds;
using ::varalign::testing::StatusIs;
using Then = v1::LeaseStepsResponse;

v1::LeaseStepsResponse Lease(uint64_t begin, uint64_t end, Then::Then then,
                             int64_t seconds = 60) {
  v1::LeaseStepsResponse response;
  response.set_begin(begin);
  response.set_end(end);
  response.set_then(then);
  response.mutable_valid_for()->set_seconds(seconds);
  return response;
}

TEST(LeaseKeeperTest, AsksAtTheEndOfEachLeaseAndStopsWhereTold) {
  absl::Mutex mutex;
  std::vector<uint64_t> asked;
  const base::SystemClock clock;
  Departure departure;
  LeaseKeeper keeper(
      0,
      [&](uint64_t begin) -> absl::StatusOr<v1::LeaseStepsResponse> {
        absl::MutexLock lock(&mutex);
        asked.push_back(begin);
        if (begin == 6) return Lease(6, 6, Then::FINISH);
        return Lease(begin, begin + 3, Then::THEN_UNSPECIFIED);
      },
      clock, departure);
  for (uint64_t step = 0; step < 6; ++step) {
    EXPECT_THAT(keeper.Await(step), IsOkAndHolds(Permit::kRun));
  }
  EXPECT_THAT(keeper.Await(6), IsOkAndHolds(Permit::kFinish));
  absl::MutexLock lock(&mutex);
  EXPECT_THAT(asked, ElementsAre(0, 3, 6));
}

TEST(LeaseKeeperTest, RunsOnUnderItsLeaseWhileNobodyAnswers) {
  const base::SystemClock clock;
  Departure departure;
  absl::Notification release;
  LeaseKeeper keeper(
      4,
      [&](uint64_t begin) -> absl::StatusOr<v1::LeaseStepsResponse> {
        if (begin == 4) return Lease(4, 8, Then::THEN_UNSPECIFIED);
        release.WaitForNotification();
        return Lease(8, 8, Then::SAVE_AND_STOP);
      },
      clock, departure);
  for (uint64_t step = 4; step < 8; ++step) {
    EXPECT_THAT(keeper.Await(step), IsOkAndHolds(Permit::kRun));
  }
  release.Notify();
  EXPECT_THAT(keeper.Await(8), IsOkAndHolds(Permit::kSaveAndStop));
}

TEST(LeaseKeeperTest, RenewsALeaseThatRanOut) {
  const base::SystemClock clock;
  Departure departure;
  absl::Mutex mutex;
  int asked = 0;
  LeaseKeeper keeper(
      0,
      [&](uint64_t begin) -> absl::StatusOr<v1::LeaseStepsResponse> {
        absl::MutexLock lock(&mutex);
        // The first answer is out of date when it arrives.
        return Lease(begin, begin + 10, Then::THEN_UNSPECIFIED,
                     asked++ == 0 ? 0 : 60);
      },
      clock, departure);
  EXPECT_THAT(keeper.Await(0), IsOkAndHolds(Permit::kRun));
  absl::MutexLock lock(&mutex);
  EXPECT_GE(asked, 2);
}

TEST(LeaseKeeperTest, ALeaseCountsFromTheQuestionNotFromTheAnswer) {
  testing::FakeClock clock;
  Departure departure;
  absl::Mutex mutex;
  int asked = 0;
  LeaseKeeper keeper(
      0,
      [&](uint64_t begin) -> absl::StatusOr<v1::LeaseStepsResponse> {
        absl::MutexLock lock(&mutex);
        // The first answer is on its way for longer than the lease holds.
        if (asked++ == 0) clock.Advance(absl::Seconds(61));
        return Lease(begin, begin + 10, Then::THEN_UNSPECIFIED, 60);
      },
      clock, departure);
  EXPECT_THAT(keeper.Await(0), IsOkAndHolds(Permit::kRun));
  absl::MutexLock lock(&mutex);
  EXPECT_EQ(asked, 2);
}

TEST(LeaseKeeperTest, RefusedLeaseMakesTheRankLeave) {
  const base::SystemClock clock;
  Departure departure;
  LeaseKeeper keeper(
      0,
      [](uint64_t) -> absl::StatusOr<v1::LeaseStepsResponse> {
        return absl::AbortedError("an old token");
      },
      clock, departure);
  EXPECT_THAT(keeper.Await(0), StatusIs(absl::StatusCode::kAborted));
  EXPECT_THAT(departure.status(), StatusIs(absl::StatusCode::kAborted));
}

}  // namespace
}  // namespace varalign::worker
