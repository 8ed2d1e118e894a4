// Time as an argument, so that tests move it by hand.
#ifndef VARALIGN_BASE_CLOCK_H_
#define VARALIGN_BASE_CLOCK_H_

#include "absl/time/time.h"

namespace varalign::base {

class Clock {
 public:
  virtual ~Clock() = default;
  // Wall time, only to be shown or stored.
  virtual absl::Time WallNow() const = 0;
  // Monotonic time since some fixed instant; for every deadline and interval.
  virtual absl::Duration MonotonicNow() const = 0;
};

// Thread safe.
class SystemClock final : public Clock {
 public:
  absl::Time WallNow() const override;
  absl::Duration MonotonicNow() const override;
};

}  // namespace varalign::base

#endif  // VARALIGN_BASE_CLOCK_H_
