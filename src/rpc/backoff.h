// When to try again: exponential waits with jitter, within a budget of time.
// For what gRPC's own retries do not cover: a coordinator that restarts, a
// stream that broke.
//
//   Retrier retrier(kReattach, seed);
//   while (true) {
//     const absl::Status status = Attach();
//     if (status.ok()) break;
//     if (!IsRetryable(status)) return status;
//     const auto delay = retrier.NextDelay(clock.MonotonicNow());
//     if (!delay) return status;
//     ... wait `delay` or for a stop signal ...
//   }
//   retrier.Reset();
#ifndef VARALIGN_RPC_BACKOFF_H_
#define VARALIGN_RPC_BACKOFF_H_

#include <cstdint>
#include <optional>

#include "absl/time/time.h"

namespace varalign::rpc {

struct BackoffOptions {
  absl::Duration initial = absl::Milliseconds(100);  // > 0
  absl::Duration max = absl::Seconds(5);             // >= initial
  double multiplier = 2;                             // >= 1
  // A delay is spread evenly over [(1 - jitter) d, d], so that workers that
  // lost the same server do not come back together. In [0, 1].
  double jitter = 0.5;
  // From the first failure to the start of the last attempt.
  absl::Duration budget = absl::Seconds(60);
};

// The wait before attempt `attempt` (1 is the first repeat). Pure: the same
// arguments give the same delay.
absl::Duration BackoffDelay(const BackoffOptions& options, int attempt,
                            uint64_t seed);

// Counts the failures of one operation. Reads no clock. Not thread safe.
class Retrier {
 public:
  // `seed` differs between processes (rank, pid).
  Retrier(const BackoffOptions& options, uint64_t seed)
      : options_(options), seed_(seed) {}

  // After a failure at monotonic instant `now`: how long to wait before the
  // next attempt; nullopt if that attempt would start after the budget.
  std::optional<absl::Duration> NextDelay(absl::Duration now);

  // After progress: the next failure has the whole budget again.
  void Reset();

 private:
  const BackoffOptions options_;
  const uint64_t seed_;
  int failures_ = 0;
  absl::Duration first_failure_;
};

}  // namespace varalign::rpc

#endif  // VARALIGN_RPC_BACKOFF_H_
