#include "collective/sigpipe_block.h"

#include <gtest/gtest.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cerrno>
#include <thread>

namespace varalign::collective {
namespace {

bool IsBlocked() {
  sigset_t mask;
  pthread_sigmask(SIG_SETMASK, nullptr, &mask);
  return sigismember(&mask, SIGPIPE) == 1;
}

// Returns errno of a write whose reader has gone.
int WriteToNobody() {
  int ends[2];
  EXPECT_EQ(socketpair(AF_UNIX, SOCK_STREAM, 0, ends), 0);
  close(ends[1]);
  const ssize_t written = write(ends[0], "x", 1);
  const int error = written < 0 ? errno : 0;
  close(ends[0]);
  return error;
}

TEST(SigpipeBlockTest, AWriteToNobodyFailsAndTheProcessLives) {
  ASSERT_EQ(signal(SIGPIPE, SIG_DFL), SIG_DFL);
  {
    const SigpipeBlock block;
    EXPECT_EQ(WriteToNobody(), EPIPE);
    const SigpipeBlock inner;
    EXPECT_EQ(WriteToNobody(), EPIPE);
  }
  EXPECT_FALSE(IsBlocked());
}

TEST(SigpipeBlockTest, WithoutItTheProcessDies) {
  ::testing::FLAGS_gtest_death_test_style = "threadsafe";
  EXPECT_EXIT(WriteToNobody(), ::testing::KilledBySignal(SIGPIPE), "");
}

TEST(SigpipeBlockTest, ThreadsStartedMeanwhileKeepIt) {
  int error = 0;
  std::thread thread;
  {
    const SigpipeBlock block;
    thread = std::thread([&] { error = WriteToNobody(); });
  }
  thread.join();
  EXPECT_EQ(error, EPIPE);
}

}  // namespace
}  // namespace varalign::collective
