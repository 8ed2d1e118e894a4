#include "base/stop_signal.h"

#include <semaphore.h>
#include <signal.h>
#include <time.h>
#include <unistd.h>

#include <atomic>
#include <cerrno>

#include "base/clock.h"
#include "base/exit_code.h"
#include "base/string_view.h"

namespace varalign::base {
namespace {

// A handler has no other way to hand anything over, and may do no more than
// this: lock-free atomics, sem_post, _exit.
std::atomic<int> allowed = 0;
std::atomic<int> count = 0;
std::atomic<int> first = 0;
static_assert(std::atomic<int>::is_always_lock_free);
sem_t came;

void OnSignal(int signal) {
  if (count.fetch_add(1) >= allowed.load()) _exit(128 + signal);
  int none = 0;
  first.compare_exchange_strong(none, signal);
  sem_post(&came);
}

}  // namespace

void CatchStopSignals(int requests) {
  static const int initialised = sem_init(&came, 0, 0);
  static_cast<void>(initialised);
  allowed = requests;
  struct sigaction action = {};
  action.sa_handler = OnSignal;
  sigemptyset(&action.sa_mask);
  action.sa_flags = SA_RESTART;
  sigaction(SIGTERM, &action, nullptr);
  sigaction(SIGINT, &action, nullptr);
  // A terminal that closes; under nohup it is ignored and stays so.
  struct sigaction hangup = {};
  sigaction(SIGHUP, nullptr, &hangup);
  if (hangup.sa_handler != SIG_IGN) sigaction(SIGHUP, &action, nullptr);
}

int StopSignalCount() { return count.load(); }

int FirstStopSignal() { return first.load(); }

absl::Status InterruptedStatus(std::string_view message) {
  return WithExitCode(absl::CancelledError(ToAbsl(message)),
                      static_cast<ExitCode>(128 + FirstStopSignal()));
}

bool AwaitStopSignal(absl::Duration timeout) {
  const timespec deadline =
      absl::ToTimespec(SystemClock().MonotonicNow() + timeout);
  while (StopSignalCount() == 0) {
    if (sem_clockwait(&came, CLOCK_MONOTONIC, &deadline) == 0) continue;
    if (errno != EINTR) break;  // ETIMEDOUT
  }
  return StopSignalCount() > 0;
}

}  // namespace varalign::base
