// Leases: which steps a generation may run, and for how long. Pure.
#ifndef VARALIGN_COORDINATOR_LEASE_H_
#define VARALIGN_COORDINATOR_LEASE_H_

#include <cstdint>
#include <map>
#include <optional>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "varalign/v1/coordinator.pb.h"

namespace varalign::coordinator {

using Then = v1::LeaseStepsResponse::Then;

// Steps [begin, end). Empty leases carry what comes instead of steps.
struct Lease {
  uint64_t begin = 0;
  uint64_t end = 0;
  Then then = v1::LeaseStepsResponse::ASK_AGAIN;

  bool is_last() const { return begin == end; }
  friend bool operator==(const Lease&, const Lease&) = default;
};

struct LeaseRules {
  // A lease is as many steps as fit this: a cancelled run stops within it.
  absl::Duration aim = absl::Seconds(5);
  uint64_t max_steps = 64;
  // Workers go on for so long without a coordinator.
  absl::Duration grace = absl::Seconds(60);
  // Before the first step was measured.
  absl::Duration first_step_limit = absl::Minutes(10);
};

// Steps of the next lease, 1 to rules.max_steps; 1 while `step_time` is zero
// (not measured).
uint64_t LeaseLength(absl::Duration step_time, const LeaseRules& rules);

// How long a lease of `num_steps` holds: the grace, or five times what its
// steps are expected to take, whichever is longer.
absl::Duration LeaseValidity(absl::Duration step_time, uint64_t num_steps,
                             const LeaseRules& rules);

// What a lease is cut from.
struct LeaseSituation {
  uint64_t total_steps = 0;
  bool cancel_requested = false;
  absl::Duration step_time;
};

// The leases of one generation. Whoever asks from the same step gets the same
// answer, whatever happened in between. Leases follow one another without gap
// or overlap. Not thread safe.
class LeaseTable {
 public:
  explicit LeaseTable(uint64_t start_step) : next_(start_step) {}

  // After a restart of the coordinator, in the order of `begin`.
  void Restore(const Lease& lease);

  // The lease that begins at `begin`; `is_new` says whether it was cut now and
  // must be stored.
  //
  //   FailedPrecondition  `begin` is no step at which a lease begins or the
  //                       next one would
  struct Answer {
    Lease lease;
    bool is_new = false;
  };
  absl::StatusOr<Answer> Ask(uint64_t begin, const LeaseSituation& situation,
                             const LeaseRules& rules);

  // FINISH or SAVE_AND_STOP once that was said, else ASK_AGAIN.
  Then ending() const { return ending_; }
  // First step that no lease covers.
  uint64_t end() const { return next_; }

 private:
  std::map<uint64_t, Lease> leases_;  // by begin
  uint64_t next_;
  Then ending_ = v1::LeaseStepsResponse::ASK_AGAIN;
};

}  // namespace varalign::coordinator

#endif  // VARALIGN_COORDINATOR_LEASE_H_
