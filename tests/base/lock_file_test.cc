#include "base/lock_file.h"

#include <sys/wait.h>
#include <unistd.h>

#include <fstream>
#include <optional>

#include "absl/strings/str_cat.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "tests/testing/status_matchers.h"
#include "tests/testing/temp_directory.h"

namespace varalign::base {
namespace {

using ::testing::HasSubstr;
using ::varalign::testing::StatusIs;

class LockFileTest : public ::testing::Test {
 protected:
  varalign::testing::TempDirectory directory_;
  const std::filesystem::path file_ = directory_ / "lock";
};

TEST_F(LockFileTest, OneHoldsItAndSaysWho) {
  std::optional<LockFile> lock;
  {
    ASSERT_OK_AND_ASSIGN(LockFile taken, LockFile::Take(file_));
    lock = std::move(taken);
  }
  EXPECT_EQ(LockHolder(file_), absl::StrCat(getpid()));
  EXPECT_THAT(LockFile::Take(file_).status(),
              StatusIs(absl::StatusCode::kUnavailable,
                       HasSubstr(absl::StrCat("pid ", getpid()))));
  lock.reset();
  EXPECT_OK(LockFile::Take(file_));
}

TEST_F(LockFileTest, TheDeadGiveItBack) {
  const pid_t child = fork();
  ASSERT_GE(child, 0);
  if (child == 0) _exit(LockFile::Take(file_).ok() ? 0 : 1);
  int status = 0;
  ASSERT_EQ(waitpid(child, &status, 0), child);
  ASSERT_EQ(status, 0);
  EXPECT_OK(LockFile::Take(file_));
}

TEST_F(LockFileTest, AHolderThatHasNotWrittenYetIsUnknown) {
  EXPECT_EQ(LockHolder(file_), "unknown");
  std::ofstream(file_).flush();
  EXPECT_EQ(LockHolder(file_), "unknown");
}

TEST_F(LockFileTest, AFileThatCannotBeMadeIsNotOneThatIsHeld) {
  EXPECT_THAT(LockFile::Take(directory_ / "missing" / "lock").status(),
              StatusIs(absl::StatusCode::kNotFound));
}

}  // namespace
}  // namespace varalign::base
