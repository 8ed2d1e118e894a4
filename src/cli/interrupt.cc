#include "cli/interrupt.h"

#include <atomic>
#include <csignal>

namespace varalign::cli {
namespace {

// Signal handlers have no other way to hand anything over.
std::atomic<int> interrupt_count{0};
std::atomic<int> first_signal{0};

void Count(int signal) {
  int none = 0;
  first_signal.compare_exchange_strong(none, signal);
  interrupt_count.fetch_add(1);
}

}  // namespace

void CatchInterrupts() {
  struct sigaction action = {};
  action.sa_handler = Count;
  sigemptyset(&action.sa_mask);
  action.sa_flags = SA_RESTART;
  sigaction(SIGINT, &action, nullptr);
  sigaction(SIGTERM, &action, nullptr);
}

int InterruptCount() { return interrupt_count.load(); }

int InterruptSignal() { return first_signal.load(); }

}  // namespace varalign::cli
