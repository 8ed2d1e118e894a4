#include "telemetry/process_stats.h"

#include <sys/resource.h>
#include <unistd.h>

#include <filesystem>
#include <string>
#include <vector>

#include "absl/time/clock.h"
#include "base/file.h"
#include "gtest/gtest.h"
#include "tests/testing/temp_directory.h"

namespace varalign::telemetry {
namespace {

namespace fs = std::filesystem;

TEST(ProcessStatsTest, ReadsWhatProcfsSays) {
  const testing::TempDirectory proc;
  fs::create_directories(proc / "self" / "fd");
  for (const char* name : {"0", "1", "2"}) {
    ASSERT_TRUE(
        base::WriteFileAtomically(proc / "self" / "fd" / name, "").ok());
  }
  // A program that is named to confuse.
  ASSERT_TRUE(base::WriteFileAtomically(
                  proc / "self" / "stat",
                  "42 (a) R 9 (b) S 1 42 42 0 -1 4194304 100 0 0 0 250 50 0 0 "
                  "20 0 7 0 12345 1048576 3 18446744073709551615 1 1 0\n")
                  .ok());
  ASSERT_TRUE(
      base::WriteFileAtomically(proc / "stat", "cpu  1 2 3\nbtime 1700000000\n")
          .ok());
  ASSERT_TRUE(base::WriteFileAtomically(
                  proc / "self" / "limits",
                  "Limit   Soft Limit  Hard Limit  Units\n"
                  "Max open files            1024                 4096         "
                  "        files     \n")
                  .ok());

  const ProcessStats stats = ReadProcessStats(proc.path());
  const double ticks = static_cast<double>(sysconf(_SC_CLK_TCK));
  EXPECT_DOUBLE_EQ(stats.cpu_seconds, 300 / ticks);
  EXPECT_EQ(stats.threads, 7);
  EXPECT_DOUBLE_EQ(stats.start_time_seconds, 1700000000 + 12345 / ticks);
  EXPECT_EQ(stats.virtual_bytes, 1048576);
  EXPECT_EQ(stats.resident_bytes, 3.0 * getpagesize());
  EXPECT_EQ(stats.open_fds, 3);
  EXPECT_EQ(stats.max_fds, 1024);
}

TEST(ProcessStatsTest, IsZeroWhereNothingCanBeRead) {
  const ProcessStats stats = ReadProcessStats("/nonexistent");
  EXPECT_EQ(stats.cpu_seconds, 0);
  EXPECT_EQ(stats.open_fds, 0);
}

TEST(ProcessStatsTest, FollowsThisProcess) {
  const ProcessStats before = ReadProcessStats();
  int ends[2];
  ASSERT_EQ(pipe(ends), 0);
  std::vector<char> memory(64 << 20, 'x');
  const ProcessStats after = ReadProcessStats();
  EXPECT_EQ(after.open_fds, before.open_fds + 2);
  EXPECT_GE(after.resident_bytes, before.resident_bytes + (60 << 20));
  EXPECT_EQ(after.start_time_seconds, before.start_time_seconds);
  EXPECT_NEAR(after.start_time_seconds,
              absl::ToDoubleSeconds(absl::Now() - absl::UnixEpoch()), 60);
  rusage usage = {};
  getrusage(RUSAGE_SELF, &usage);
  EXPECT_NEAR(
      after.cpu_seconds,
      static_cast<double>(usage.ru_utime.tv_sec + usage.ru_stime.tv_sec) +
          static_cast<double>(usage.ru_utime.tv_usec + usage.ru_stime.tv_usec) /
              1e6,
      0.1);
  EXPECT_EQ(memory[0], 'x');
  close(ends[0]);
  close(ends[1]);
}

}  // namespace
}  // namespace varalign::telemetry
