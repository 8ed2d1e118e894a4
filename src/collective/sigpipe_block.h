// Gloo writes to sockets by writev, which kills a process by SIGPIPE when the
// peer has just gone, unless somebody arranged otherwise. A library must not
// change what a signal does to the whole process; it can keep one thread from
// getting it. Internal to `collective`.
#ifndef VARALIGN_COLLECTIVE_SIGPIPE_BLOCK_H_
#define VARALIGN_COLLECTIVE_SIGPIPE_BLOCK_H_

#include <signal.h>

namespace varalign::collective {

// While it lives, a write of this thread to a closed socket fails with EPIPE
// and nothing else. Threads started meanwhile inherit that for good. Nests.
class SigpipeBlock {
 public:
  SigpipeBlock();
  SigpipeBlock(const SigpipeBlock&) = delete;
  ~SigpipeBlock();

 private:
  sigset_t sigpipe_;
  sigset_t before_;
  bool was_pending_ = false;
};

}  // namespace varalign::collective

#endif  // VARALIGN_COLLECTIVE_SIGPIPE_BLOCK_H_
