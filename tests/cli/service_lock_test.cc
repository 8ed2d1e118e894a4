#include "cli/service_lock.h"

#include <sys/wait.h>
#include <unistd.h>

#include "absl/strings/str_cat.h"
#include "base/exit_code.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "tests/testing/status_matchers.h"
#include "tests/testing/temp_directory.h"

namespace varalign::cli {
namespace {

using ::testing::HasSubstr;
using ::varalign::testing::StatusIs;

class ServiceLockTest : public ::testing::Test {
 protected:
  varalign::testing::TempDirectory directory_;
};

TEST_F(ServiceLockTest, AnotherProcessIsToldWhoTrains) {
  ASSERT_OK_AND_ASSIGN(const ServiceLock lock,
                       ServiceLock::Take(directory_ / ".run.service"));
  const absl::Status second =
      ServiceLock::Take(directory_ / ".run.service").status();
  EXPECT_THAT(second, StatusIs(absl::StatusCode::kUnavailable,
                               HasSubstr(absl::StrCat("pid ", getpid()))));
  EXPECT_EQ(base::ExitCodeFor(second), base::kExitUnavailable);
}

TEST_F(ServiceLockTest, TheDeadGiveItBack) {
  const pid_t child = fork();
  ASSERT_GE(child, 0);
  if (child == 0) {
    const auto lock = ServiceLock::Take(directory_ / ".run.service");
    _exit(lock.ok() ? 0 : 1);
  }
  int status = 0;
  ASSERT_EQ(waitpid(child, &status, 0), child);
  ASSERT_EQ(status, 0) << "held while it lived";
  EXPECT_OK(ServiceLock::Take(directory_ / ".run.service"));
}

}  // namespace
}  // namespace varalign::cli
