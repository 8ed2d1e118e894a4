// Tells ThreadSanitizer when an absl::Mutex is taken and given back. Debian's
// Abseil is not instrumented, so that without this every field that a mutex
// guards would be reported. Linked into the tsan build alone, by --wrap: calls
// of our objects come here first.
//
// A condition of Await may be evaluated by any thread that holds the mutex,
// inside Abseil: its reads are left out.
#include "absl/synchronization/mutex.h"
#include "absl/time/time.h"

extern "C" {

void __tsan_acquire(void* address);
void __tsan_release(void* address);
void AnnotateIgnoreReadsBegin(const char* file, int line);
void AnnotateIgnoreReadsEnd(const char* file, int line);

// Abseil's names, as Debian 12 mangles them: Lock, Unlock, TryLock, Await and
// AwaitWithTimeout. cmake/Varalign.cmake lists them too.
#define VARALIGN_LOCK _ZN4absl7debian35Mutex4LockEv
#define VARALIGN_UNLOCK _ZN4absl7debian35Mutex6UnlockEv
#define VARALIGN_AWAIT _ZN4absl7debian35Mutex5AwaitERKNS0_9ConditionE
#define VARALIGN_AWAIT_WITH_TIMEOUT \
  _ZN4absl7debian35Mutex16AwaitWithTimeoutERKNS0_9ConditionENS0_8DurationE

#define VARALIGN_JOIN_AGAIN(a, b) a##b
#define VARALIGN_JOIN(a, b) VARALIGN_JOIN_AGAIN(a, b)
#define REAL(name) VARALIGN_JOIN(__real_, name)
#define WRAP(name) VARALIGN_JOIN(__wrap_, name)

void REAL(VARALIGN_LOCK)(absl::Mutex* mutex);
void REAL(VARALIGN_UNLOCK)(absl::Mutex* mutex);
void REAL(VARALIGN_AWAIT)(absl::Mutex* mutex, const absl::Condition& condition);
bool REAL(VARALIGN_AWAIT_WITH_TIMEOUT)(absl::Mutex* mutex,
                                       const absl::Condition& condition,
                                       absl::Duration timeout);

}  // extern "C"

namespace {

class IgnoredReads {
 public:
  IgnoredReads() { AnnotateIgnoreReadsBegin(__FILE__, __LINE__); }
  ~IgnoredReads() { AnnotateIgnoreReadsEnd(__FILE__, __LINE__); }
};

}  // namespace

extern "C" {

void WRAP(VARALIGN_LOCK)(absl::Mutex* mutex) {
  {
    const IgnoredReads ignored;
    REAL(VARALIGN_LOCK)(mutex);
  }
  __tsan_acquire(mutex);
}

void WRAP(VARALIGN_UNLOCK)(absl::Mutex* mutex) {
  __tsan_release(mutex);
  const IgnoredReads ignored;
  REAL(VARALIGN_UNLOCK)(mutex);
}

void WRAP(VARALIGN_AWAIT)(absl::Mutex* mutex,
                          const absl::Condition& condition) {
  __tsan_release(mutex);
  {
    const IgnoredReads ignored;
    REAL(VARALIGN_AWAIT)(mutex, condition);
  }
  __tsan_acquire(mutex);
}

bool WRAP(VARALIGN_AWAIT_WITH_TIMEOUT)(absl::Mutex* mutex,
                                       const absl::Condition& condition,
                                       absl::Duration timeout) {
  __tsan_release(mutex);
  bool is_true = false;
  {
    const IgnoredReads ignored;
    is_true = REAL(VARALIGN_AWAIT_WITH_TIMEOUT)(mutex, condition, timeout);
  }
  __tsan_acquire(mutex);
  return is_true;
}

}  // extern "C"
