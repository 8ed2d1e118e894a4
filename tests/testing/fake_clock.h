// Time that a test moves by hand.
#ifndef VARALIGN_TESTS_TESTING_FAKE_CLOCK_H_
#define VARALIGN_TESTS_TESTING_FAKE_CLOCK_H_

#include "absl/base/thread_annotations.h"
#include "absl/synchronization/mutex.h"
#include "absl/time/time.h"
#include "base/clock.h"

namespace varalign::testing {

// Thread safe. Starts at 2026-01-02T03:04:05Z and at monotonic 1000 s.
class FakeClock final : public base::Clock {
 public:
  absl::Time WallNow() const override {
    absl::MutexLock lock(&mutex_);
    return wall_;
  }

  absl::Duration MonotonicNow() const override {
    absl::MutexLock lock(&mutex_);
    return monotonic_;
  }

  // Moves both.
  void Advance(absl::Duration step) {
    absl::MutexLock lock(&mutex_);
    wall_ += step;
    monotonic_ += step;
  }

  // Moves wall time alone, as an administrator would; may go back.
  void SetWall(absl::Time now) {
    absl::MutexLock lock(&mutex_);
    wall_ = now;
  }

 private:
  mutable absl::Mutex mutex_;
  absl::Time wall_ ABSL_GUARDED_BY(mutex_) = absl::FromUnixSeconds(1767323045);
  absl::Duration monotonic_ ABSL_GUARDED_BY(mutex_) = absl::Seconds(1000);
};

}  // namespace varalign::testing

#endif  // VARALIGN_TESTS_TESTING_FAKE_CLOCK_H_
