#include "rpc/backoff.h"

#include <algorithm>
#include <cmath>
#include <random>

namespace varalign::rpc {
namespace {

// In [0, 1), the same for the same arguments on every machine.
double Fraction(uint64_t seed, int attempt) {
  std::mt19937_64 engine(seed ^ (static_cast<uint64_t>(attempt) << 32));
  return std::ldexp(static_cast<double>(engine() >> 11), -53);
}

}  // namespace

absl::Duration BackoffDelay(const BackoffOptions& options, int attempt,
                            uint64_t seed) {
  const double growth = std::pow(options.multiplier, attempt - 1);
  // A growth that overflows is clipped like any other.
  const absl::Duration full =
      std::min(options.initial * std::min(growth, 1e9), options.max);
  return full * (1 - options.jitter * Fraction(seed, attempt));
}

std::optional<absl::Duration> Retrier::NextDelay(absl::Duration now) {
  if (failures_ == 0) first_failure_ = now;
  const absl::Duration delay = BackoffDelay(options_, ++failures_, seed_);
  if (now + delay - first_failure_ > options_.budget) return std::nullopt;
  return delay;
}

void Retrier::Reset() { failures_ = 0; }

}  // namespace varalign::rpc
