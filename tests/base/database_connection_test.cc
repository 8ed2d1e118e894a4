#include "base/database_connection.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <thread>

#include "absl/synchronization/notification.h"
#include "absl/time/time.h"
#include "tests/testing/status_matchers.h"
#include "tests/testing/temp_directory.h"

namespace varalign::base {
namespace {

TEST(DatabaseConnectionTest, AQueryBesideAnotherSeesWhatWasCommittedBefore) {
  const testing::TempDirectory directory;
  ASSERT_OK_AND_ASSIGN(const auto writer, DatabaseConnection::Open(
                                              "a database", directory / "db"));
  ASSERT_OK(writer->Execute(
      "CREATE TABLE t (n INTEGER); INSERT INTO t VALUES (1), (2)"));
  ASSERT_OK_AND_ASSIGN(const auto reader, DatabaseConnection::Open(
                                              "a database", directory / "db"));

  absl::Notification in_mid_query, committed, counted;
  uint64_t count = 0;
  std::thread other([&] {
    in_mid_query.WaitForNotification();
    EXPECT_OK(writer->Run("INSERT INTO t VALUES (3)"));
    committed.Notify();
    EXPECT_OK(reader->Query("SELECT COUNT(*) FROM t",
                            [&](DatabaseRow row) { count = row.Unsigned(); }));
    counted.Notify();
  });
  EXPECT_OK(reader->Query("SELECT n FROM t", [&](DatabaseRow row) {
    if (row.Unsigned() != 1) return;
    in_mid_query.Notify();
    committed.WaitForNotification();
    // Time for a query that does not wait for this one to go wrong.
    counted.WaitForNotificationWithTimeout(absl::Milliseconds(500));
  }));
  other.join();
  EXPECT_EQ(count, 3u);
}

}  // namespace
}  // namespace varalign::base
