#include "collective/sigpipe_block.h"

#include <time.h>

namespace varalign::collective {
namespace {

bool IsPending() {
  sigset_t pending;
  sigpending(&pending);
  return sigismember(&pending, SIGPIPE) == 1;
}

}  // namespace

SigpipeBlock::SigpipeBlock() : was_pending_(IsPending()) {
  sigemptyset(&sigpipe_);
  sigaddset(&sigpipe_, SIGPIPE);
  pthread_sigmask(SIG_BLOCK, &sigpipe_, &before_);
}

SigpipeBlock::~SigpipeBlock() {
  // What came meanwhile is of our making; it must not strike at the unblock.
  const timespec no_wait = {};
  if (!was_pending_ && IsPending()) {
    sigtimedwait(&sigpipe_, nullptr, &no_wait);
  }
  pthread_sigmask(SIG_SETMASK, &before_, nullptr);
}

}  // namespace varalign::collective
