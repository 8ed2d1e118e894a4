#include "base/subprocess.h"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <signal.h>
#include <unistd.h>

#include <cerrno>
#include <fstream>

#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"
#include "base/file.h"
#include "tests/testing/status_matchers.h"
#include "tests/testing/temp_directory.h"

namespace varalign::base {
namespace {

using ::testing::AllOf;
using ::testing::HasSubstr;
using ::testing::Not;
using ::varalign::testing::IsOkAndHolds;
using ::varalign::testing::StatusIs;
using ::varalign::testing::TempDirectory;

// Far longer than anything here takes; a deadline, not a pause.
constexpr absl::Duration kPatience = absl::Seconds(60);

ProcessOptions Shell(std::string script) {
  ProcessOptions options;
  options.argv = {"/bin/sh", "-c", std::move(script)};
  return options;
}

// Polls until `done`; false after kPatience.
template <typename Condition>
bool Eventually(Condition done) {
  const absl::Time deadline = absl::Now() + kPatience;
  while (!done()) {
    if (absl::Now() > deadline) return false;
    absl::SleepFor(absl::Milliseconds(5));
  }
  return true;
}

// True while a process of this pid is there and is not a zombie.
bool Runs(pid_t pid) {
  std::ifstream stat(absl::StrCat("/proc/", pid, "/stat"));
  std::string pid_text, name, state;
  return (stat >> pid_text >> name >> state) && state != "Z" && state != "X";
}

class SubprocessTest : public ::testing::Test {
 protected:
  // The number that a child wrote to `path`, once its line is whole.
  pid_t AwaitNumberIn(const std::filesystem::path& path) {
    pid_t number = 0;
    EXPECT_TRUE(Eventually([&] {
      const auto text = ReadFile(path);
      return text.ok() && text->ends_with('\n') &&
             absl::SimpleAtoi(*text, &number);
    }));
    return number;
  }

  TempDirectory directory_;
  const std::filesystem::path log_ = directory_ / "log";
};

TEST_F(SubprocessTest, TellsTheExitCode) {
  for (const int code : {0, 1, 70, 255}) {
    ASSERT_OK_AND_ASSIGN(Subprocess process,
                         Subprocess::Spawn(Shell(absl::StrCat("exit ", code))));
    const auto exit = process.Wait(kPatience);
    ASSERT_TRUE(exit.has_value());
    EXPECT_EQ(exit->code, code);
    EXPECT_EQ(exit->signal, 0);
    EXPECT_EQ(exit->ok(), code == 0);
  }
}

TEST_F(SubprocessTest, TellsTheSignal) {
  ASSERT_OK_AND_ASSIGN(Subprocess process,
                       Subprocess::Spawn(Shell("kill -SEGV $$")));
  const auto exit = process.Wait(kPatience);
  ASSERT_TRUE(exit.has_value());
  EXPECT_EQ(exit->signal, SIGSEGV);
  EXPECT_FALSE(exit->ok());
  EXPECT_EQ(exit->ToString(), "killed by signal 11 (SIGSEGV)");
}

TEST_F(SubprocessTest, ExitReadsWell) {
  EXPECT_EQ((ProcessExit{.code = 70}).ToString(), "exited with code 70");
  EXPECT_EQ((ProcessExit{.code = 0, .signal = SIGKILL}).ToString(),
            "killed by signal 9 (SIGKILL)");
}

TEST_F(SubprocessTest, ProgramThatIsNotThereIsNotFound) {
  ProcessOptions options;
  options.argv = {"/none/program"};
  EXPECT_THAT(Subprocess::Spawn(options), StatusIs(absl::StatusCode::kNotFound,
                                                   HasSubstr("/none/program")));
}

TEST_F(SubprocessTest, FileThatIsNoProgramIsPermissionDenied) {
  ASSERT_OK(WriteFileAtomically(directory_ / "text", "x"));
  ProcessOptions options;
  options.argv = {(directory_ / "text").string()};
  EXPECT_THAT(Subprocess::Spawn(options),
              StatusIs(absl::StatusCode::kPermissionDenied));
}

TEST_F(SubprocessTest, EmptyArgvIsInvalid) {
  EXPECT_THAT(Subprocess::Spawn({}),
              StatusIs(absl::StatusCode::kInvalidArgument));
}

TEST_F(SubprocessTest, ArgumentsArriveUnchanged) {
  ProcessOptions options = Shell("printf '%s|' \"$@\"");
  options.argv.insert(options.argv.end(), {"name", "a b", "$HOME", "", "'\"*"});
  options.log_file = log_;
  ASSERT_OK_AND_ASSIGN(Subprocess process, Subprocess::Spawn(options));
  ASSERT_TRUE(process.Wait(kPatience).has_value());
  EXPECT_THAT(ReadFile(log_), IsOkAndHolds("a b|$HOME||'\"*|"));
}

TEST_F(SubprocessTest, LogTakesBothStreamsAndIsAppendedTo) {
  ProcessOptions options = Shell("echo out; echo err >&2");
  options.log_file = log_;
  for (int i = 0; i < 2; ++i) {
    ASSERT_OK_AND_ASSIGN(Subprocess process, Subprocess::Spawn(options));
    ASSERT_TRUE(process.Wait(kPatience).has_value());
  }
  EXPECT_THAT(ReadFile(log_), IsOkAndHolds("out\nerr\nout\nerr\n"));
}

TEST_F(SubprocessTest, LogThatCannotBeOpenedIsAnError) {
  ProcessOptions options = Shell("true");
  options.log_file = directory_ / "none" / "log";
  EXPECT_THAT(Subprocess::Spawn(options),
              StatusIs(absl::StatusCode::kNotFound, HasSubstr("open log")));
}

TEST_F(SubprocessTest, EnvironmentIsAddedToOurs) {
  ASSERT_EQ(setenv("VARALIGN_TEST_KEPT", "kept", 1), 0);
  ASSERT_EQ(setenv("VARALIGN_TEST_CHANGED", "old", 1), 0);
  ProcessOptions options =
      Shell("echo $VARALIGN_TEST_KEPT $VARALIGN_TEST_CHANGED $ADDED");
  options.environment = {{"VARALIGN_TEST_CHANGED", "new"}, {"ADDED", "a=b"}};
  options.log_file = log_;
  ASSERT_OK_AND_ASSIGN(Subprocess process, Subprocess::Spawn(options));
  ASSERT_TRUE(process.Wait(kPatience).has_value());
  EXPECT_THAT(ReadFile(log_), IsOkAndHolds("kept new a=b\n"));
}

TEST_F(SubprocessTest, PollAndWaitDoNotBlockOnARunningChild) {
  ASSERT_OK_AND_ASSIGN(Subprocess process,
                       Subprocess::Spawn(Shell("exec sleep 600")));
  EXPECT_EQ(process.Poll(), std::nullopt);
  EXPECT_FALSE(process.Wait(absl::Milliseconds(20)).has_value());
  EXPECT_TRUE(Runs(process.pid()));
}

TEST_F(SubprocessTest, ExitIsRememberedAfterReaping) {
  ASSERT_OK_AND_ASSIGN(Subprocess process, Subprocess::Spawn(Shell("exit 3")));
  ASSERT_TRUE(process.Wait(absl::InfiniteDuration()).has_value());
  EXPECT_EQ(process.Poll()->code, 3);
  EXPECT_EQ(process.Stop(kPatience).code, 3);
  process.Signal(SIGKILL);  // of no effect
  EXPECT_EQ(process.Poll()->code, 3);
}

TEST_F(SubprocessTest, StopGivesTimeToEndInOrder) {
  ProcessOptions options =
      Shell("trap 'exit 75' TERM; echo $$; while :; do sleep 0.01; done");
  options.log_file = log_;
  ASSERT_OK_AND_ASSIGN(Subprocess process, Subprocess::Spawn(options));
  AwaitNumberIn(log_);
  EXPECT_EQ(process.Stop(kPatience).code, 75);
}

TEST_F(SubprocessTest, StopKillsWhoDoesNotObey) {
  ProcessOptions options =
      Shell("trap '' TERM; echo $$; while :; do sleep 0.01; done");
  options.log_file = log_;
  ASSERT_OK_AND_ASSIGN(Subprocess process, Subprocess::Spawn(options));
  AwaitNumberIn(log_);
  EXPECT_EQ(process.Stop(absl::Milliseconds(50)).signal, SIGKILL);
  EXPECT_FALSE(Runs(process.pid()));
}

TEST_F(SubprocessTest, StopReachesAStoppedProcess) {
  ProcessOptions options =
      Shell("trap 'exit 75' TERM; echo $$; while :; do sleep 0.01; done");
  options.log_file = log_;
  ASSERT_OK_AND_ASSIGN(Subprocess process, Subprocess::Spawn(options));
  AwaitNumberIn(log_);
  process.Signal(SIGSTOP);
  EXPECT_EQ(process.Stop(kPatience).code, 75);
}

TEST_F(SubprocessTest, DestructorKillsAndReaps) {
  pid_t pid = 0;
  {
    ASSERT_OK_AND_ASSIGN(const Subprocess process,
                         Subprocess::Spawn(Shell("exec sleep 600")));
    pid = process.pid();
  }
  EXPECT_EQ(kill(pid, 0), -1);
  EXPECT_EQ(errno, ESRCH);
}

TEST_F(SubprocessTest, MoveTransfersTheChild) {
  ASSERT_OK_AND_ASSIGN(Subprocess first,
                       Subprocess::Spawn(Shell("exec sleep 600")));
  const pid_t pid = first.pid();
  Subprocess second(std::move(first));
  EXPECT_EQ(second.pid(), pid);
  EXPECT_TRUE(Runs(pid));
  ASSERT_OK_AND_ASSIGN(second, Subprocess::Spawn(Shell("exit 4")));
  EXPECT_FALSE(Runs(pid));
  EXPECT_EQ(second.Wait(kPatience)->code, 4);
}

TEST_F(SubprocessTest, NewSessionLeavesNobodyBehind) {
  ProcessOptions options = Shell("sleep 600 & echo $!; exit 0");
  options.log_file = log_;
  options.new_session = true;
  ASSERT_OK_AND_ASSIGN(Subprocess process, Subprocess::Spawn(options));
  ASSERT_TRUE(process.Wait(kPatience).has_value());
  const pid_t grandchild = AwaitNumberIn(log_);
  EXPECT_TRUE(Eventually([&] { return !Runs(grandchild); }));
}

TEST_F(SubprocessTest, ChildInheritsNoDescriptorsOfOurs) {
  const int leaked = open((directory_ / "secret").c_str(), O_CREAT | O_RDWR,
                          0600);  // without O_CLOEXEC, as some libraries do
  ASSERT_GE(leaked, 0);
  ProcessOptions options = Shell("ls -l /proc/self/fd");
  options.log_file = log_;
  ASSERT_OK_AND_ASSIGN(Subprocess process, Subprocess::Spawn(options));
  ASSERT_TRUE(process.Wait(kPatience).has_value());
  close(leaked);
  ASSERT_OK_AND_ASSIGN(const std::string listing, ReadFile(log_));
  EXPECT_THAT(listing, AllOf(HasSubstr("log"), Not(HasSubstr("secret"))));
}

TEST_F(SubprocessTest, ChildStartsWithCleanSignals) {
  sigset_t blocked, before;
  sigemptyset(&blocked);
  sigaddset(&blocked, SIGTERM);
  sigprocmask(SIG_BLOCK, &blocked, &before);
  ASSERT_OK_AND_ASSIGN(Subprocess process,
                       Subprocess::Spawn(Shell("exec sleep 600")));
  sigprocmask(SIG_SETMASK, &before, nullptr);
  process.Signal(SIGTERM);
  EXPECT_EQ(process.Wait(kPatience)->signal, SIGTERM);
}

// The parent below is this test program again, in a process of its own.
TEST_F(SubprocessTest, ChildDiesWithItsParent) {
  if (const char* file = std::getenv("VARALIGN_TEST_CHILD_PID_FILE")) {
    ProcessOptions options = Shell("echo $$; exec sleep 600");
    options.log_file = file;
    ASSERT_OK_AND_ASSIGN(Subprocess child, Subprocess::Spawn(options));
    child.Wait(kPatience);
    return;
  }
  ProcessOptions options;
  options.argv = {"/proc/self/exe",
                  "--gtest_filter=SubprocessTest.ChildDiesWithItsParent"};
  options.argv[0] = std::filesystem::read_symlink("/proc/self/exe").string();
  options.environment = {{"VARALIGN_TEST_CHILD_PID_FILE", log_.string()},
                         {"GTEST_OUTPUT", ""}};
  options.log_file = directory_ / "parent";
  ASSERT_OK_AND_ASSIGN(Subprocess parent, Subprocess::Spawn(options));
  const pid_t child = AwaitNumberIn(log_);
  EXPECT_TRUE(Runs(child));
  parent.Signal(SIGKILL);
  ASSERT_TRUE(parent.Wait(kPatience).has_value());
  EXPECT_TRUE(Eventually([&] { return !Runs(child); }));
}

TEST(DieWithParentTest, EndsAtOnceIfTheParentIsAnother) {
  EXPECT_EXIT(DieWithParent(getpid()), ::testing::ExitedWithCode(69), "");
}

TEST(DieWithParentTest, GoesOnBelowItsParent) {
  EXPECT_EXIT(
      {
        DieWithParent(getppid());
        _exit(5);
      },
      ::testing::ExitedWithCode(5), "");
}

TEST(ExecutableDirectoryTest, HoldsThisTest) {
  EXPECT_TRUE(
      std::filesystem::exists(ExecutableDirectory() / "subprocess_test"));
}

TEST(TailOfFileTest, StartsAtALine) {
  const TempDirectory directory;
  const auto path = directory / "log";
  ASSERT_OK(WriteFileAtomically(path, "first\nsecond\nthird\n"));
  EXPECT_EQ(TailOfFile(path, 1000), "first\nsecond\nthird\n");
  EXPECT_EQ(TailOfFile(path, 10), "third\n");
  EXPECT_EQ(TailOfFile(path, 3), "rd\n");
  EXPECT_EQ(TailOfFile(directory / "none", 10), "");
}

}  // namespace
}  // namespace varalign::base
