#include "collective/collective_thread.h"

#include <ATen/ops/full.h>

#include <memory>
#include <stdexcept>
#include <vector>

#include "absl/synchronization/notification.h"
#include "collective/local_process_group.h"
#include "tests/testing/status_matchers.h"

namespace varalign::collective {
namespace {

using ::testing::ElementsAre;
using ::testing::StartsWith;
using ::varalign::testing::StatusIs;

TEST(CollectiveThreadTest, RunsOperationsInTheOrderOfTheirTickets) {
  LocalHub hub(1, absl::Seconds(10));
  const auto group = hub.Join(0);
  CollectiveThread thread(*group);
  std::vector<int> done;
  CollectiveThread::Ticket last = 0;
  for (int i = 0; i < 5; ++i) {
    last = thread.Post("operation", [&done, i](ProcessGroup&) {
      done.push_back(i);
      return absl::OkStatus();
    });
  }
  ASSERT_OK(thread.Await(last));
  EXPECT_THAT(done, ElementsAre(0, 1, 2, 3, 4));
  EXPECT_OK(thread.Await(0));
}

TEST(CollectiveThreadTest, PostingDoesNotWaitForPeers) {
  LocalHub hub(2, absl::Seconds(10));
  const auto mine = hub.Join(0), theirs = hub.Join(1);
  at::Tensor a = at::full({3}, 1.0f), b = at::full({3}, 2.0f);
  CollectiveThread thread(*mine);
  const auto ticket = thread.Post(
      "sum", [&a](ProcessGroup& group) { return group.AllReduceSum(a); });
  ASSERT_OK(theirs->AllReduceSum(b));
  ASSERT_OK(thread.Await(ticket));
  EXPECT_EQ(a[0].item<float>(), 3);
}

TEST(CollectiveThreadTest, TheFirstErrorIsNamedAndEndsEverything) {
  LocalHub hub(1, absl::Seconds(10));
  const auto group = hub.Join(0);
  CollectiveThread thread(*group);
  bool later_ran = false;
  const auto before =
      thread.Post("first", [](ProcessGroup&) { return absl::OkStatus(); });
  const auto failing = thread.Post("all-gather of layer 3", [](ProcessGroup&) {
    return absl::AbortedError("lost rank 1");
  });
  const auto after = thread.Post("later", [&](ProcessGroup&) {
    later_ran = true;
    return absl::OkStatus();
  });
  for (const auto ticket : {failing, after}) {
    EXPECT_THAT(thread.Await(ticket),
                StatusIs(absl::StatusCode::kAborted,
                         StartsWith("all-gather of layer 3: lost rank 1")));
  }
  EXPECT_OK(thread.Await(before));
  EXPECT_THAT(thread.status(), StatusIs(absl::StatusCode::kAborted));
  EXPECT_THAT(thread.Await(thread.Post("last", nullptr)),
              StatusIs(absl::StatusCode::kAborted));
  EXPECT_FALSE(later_ran);
}

TEST(CollectiveThreadTest, AnExceptionIsAnError) {
  LocalHub hub(1, absl::Seconds(10));
  const auto group = hub.Join(0);
  CollectiveThread thread(*group);
  const auto ticket = thread.Post("sum", [](ProcessGroup&) -> absl::Status {
    throw std::runtime_error("no such device");
  });
  EXPECT_THAT(thread.Await(ticket),
              StatusIs(absl::StatusCode::kInternal,
                       ::testing::HasSubstr("no such device")));
}

// The peer never comes, and the group would wait for ten minutes.
TEST(CollectiveThreadTest, GoesAtOnceThoughAnOperationWaits) {
  LocalHub hub(2, absl::Minutes(10));
  const auto mine = hub.Join(0), theirs = hub.Join(1);
  absl::Notification started;
  auto thread = std::make_unique<CollectiveThread>(*mine);
  thread->Post("barrier", [&](ProcessGroup& group) {
    started.Notify();
    return group.Barrier();
  });
  started.WaitForNotification();
  thread.reset();
  EXPECT_THAT(theirs->Barrier(), StatusIs(absl::StatusCode::kAborted));
}

}  // namespace
}  // namespace varalign::collective
