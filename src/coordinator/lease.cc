#include "coordinator/lease.h"

#include <algorithm>
#include <cmath>

#include "absl/strings/str_cat.h"

namespace varalign::coordinator {
namespace {

Lease Cut(uint64_t begin, const LeaseSituation& situation,
          const LeaseRules& rules) {
  if (begin >= situation.total_steps) {
    return {begin, begin, v1::LeaseStepsResponse::FINISH};
  }
  if (situation.cancel_requested) {
    return {begin, begin, v1::LeaseStepsResponse::SAVE_AND_STOP};
  }
  const uint64_t length = LeaseLength(situation.step_time, rules);
  const uint64_t left = situation.total_steps - begin;
  return {begin, begin + std::min(length, left),
          v1::LeaseStepsResponse::ASK_AGAIN};
}

}  // namespace

uint64_t LeaseLength(absl::Duration step_time, const LeaseRules& rules) {
  if (step_time <= absl::ZeroDuration()) return 1;
  const double steps = absl::FDivDuration(rules.aim, step_time);
  const double most = static_cast<double>(rules.max_steps);
  return static_cast<uint64_t>(std::clamp(std::floor(steps), 1.0, most));
}

absl::Duration LeaseValidity(absl::Duration step_time, uint64_t num_steps,
                             const LeaseRules& rules) {
  if (step_time <= absl::ZeroDuration()) return rules.first_step_limit;
  return std::max(rules.grace,
                  5.0 * static_cast<double>(num_steps) * step_time);
}

void LeaseTable::Restore(const Lease& lease) {
  leases_[lease.begin] = lease;
  next_ = std::max(next_, lease.end);
  if (lease.is_last()) ending_ = lease.then;
}

absl::StatusOr<LeaseTable::Answer> LeaseTable::Ask(
    uint64_t begin, const LeaseSituation& situation, const LeaseRules& rules) {
  if (const auto known = leases_.find(begin); known != leases_.end()) {
    return Answer{known->second, false};
  }
  if (begin != next_) {
    return absl::FailedPreconditionError(
        absl::StrCat("no lease begins at this step: the next one begins at ",
                     next_, ", asked for ", begin));
  }
  const Lease lease = Cut(begin, situation, rules);
  Restore(lease);
  return Answer{lease, true};
}

}  // namespace varalign::coordinator
