#include "base/clock.h"

#include <time.h>

#include "absl/time/clock.h"

namespace varalign::base {

absl::Time SystemClock::WallNow() const { return absl::Now(); }

absl::Duration SystemClock::MonotonicNow() const {
  timespec now;
  clock_gettime(CLOCK_MONOTONIC, &now);
  return absl::DurationFromTimespec(now);
}

}  // namespace varalign::base
