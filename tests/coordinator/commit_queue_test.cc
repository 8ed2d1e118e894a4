#include "coordinator/commit_queue.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <optional>

#include "tests/coordinator/stalled_disk.h"
#include "tests/testing/fake_clock.h"
#include "tests/testing/status_matchers.h"
#include "tests/testing/temp_directory.h"

namespace varalign::coordinator {
namespace {

using ::varalign::testing::StatusIs;

constexpr absl::Duration kSoon = absl::Seconds(30);

class CommitQueueTest : public ::testing::Test {
 protected:
  static Changes Request(const std::string& request_id) {
    return {PutRequest{.request_id = request_id, .digest = "", .run_id = "r"}};
  }

  const testing::TempDirectory directory_;
  testing::FakeClock clock_;
  const std::unique_ptr<RunDatabase> database_ =
      RunDatabase::Open(directory_ / "db").value();
  CommitQueue queue_{*database_, clock_, [](const Changes&) {}};
};

TEST_F(CommitQueueTest, WhatWasAwaitedIsInTheDatabase) {
  ASSERT_OK(queue_.AwaitDurable(queue_.Enqueue(Request("a")), kSoon));
  ASSERT_OK_AND_ASSIGN(const auto known, database_->Request("a"));
  EXPECT_TRUE(known.has_value());
}

TEST_F(CommitQueueTest, TellsHowLongTheDiskHasHeldUpTheOldestChange) {
  EXPECT_EQ(queue_.Delay(), absl::ZeroDuration());
  {
    const StalledDisk stalled(directory_ / "db");
    queue_.Enqueue(Request("a"));
    clock_.Advance(absl::Seconds(4));
    const uint64_t ticket = queue_.Enqueue(Request("b"));
    clock_.Advance(absl::Seconds(1));
    EXPECT_EQ(queue_.Delay(), absl::Seconds(5));
    EXPECT_THAT(queue_.AwaitDurable(ticket, absl::Milliseconds(10)),
                StatusIs(absl::StatusCode::kUnavailable));
  }
  EXPECT_OK(queue_.AwaitDurable(queue_.Enqueue({}), kSoon));
  EXPECT_EQ(queue_.Delay(), absl::ZeroDuration());
}

}  // namespace
}  // namespace varalign::coordinator
