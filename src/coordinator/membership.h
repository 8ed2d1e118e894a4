// Whether the run at the head of the queue may start, and with which slots. A
// pure decision over a snapshot and a time.
#ifndef VARALIGN_COORDINATOR_MEMBERSHIP_H_
#define VARALIGN_COORDINATOR_MEMBERSHIP_H_

#include <cstdint>
#include <string>
#include <variant>
#include <vector>

#include "absl/time/time.h"

namespace varalign::coordinator {

// A slot without a process, ready to start one.
struct IdleSlot {
  std::string slot_id;
  int32_t launcher_rank = -1;  // -1: started by hand
  int32_t launcher_size = 0;
  uint64_t order = 0;  // of registration

  friend bool operator==(const IdleSlot&, const IdleSlot&) = default;
};

struct MembershipRules {
  // Runs that take every slot wait until no slot has come or gone for so long.
  absl::Duration settle = absl::Seconds(1);
  // The same while a launcher's ranks have not all registered.
  absl::Duration launcher_settle = absl::Seconds(10);
};

struct MembershipView {
  uint32_t workers = 0;  // of the configuration; 0: every idle slot
  std::vector<IdleSlot> idle;
  size_t num_slots = 0;        // registered, idle or not
  absl::Duration last_change;  // when a slot last came, went or became idle
  // A generation of the run whose end nobody confirmed may still run steps
  // until then.
  absl::Duration not_before = -absl::InfiniteDuration();
};

struct Wait {
  std::string reason;
  friend bool operator==(const Wait&, const Wait&) = default;
};
// Ranks 0, 1, ... of the new generation.
struct Form {
  std::vector<std::string> slot_ids;
  friend bool operator==(const Form&, const Form&) = default;
};
using Move = std::variant<Wait, Form>;

//   an older generation may still run      -> Wait
//   fewer idle slots than workers          -> Wait
//   workers are given and there            -> Form with the first of them
//   every slot is wanted, a launcher's
//     ranks are all there, or settled      -> Form with all that are idle
//
// Slots are taken by launcher rank, those started by hand last, then in the
// order of registration.
Move NextMove(const MembershipView& view, const MembershipRules& rules,
              absl::Duration now);

}  // namespace varalign::coordinator

#endif  // VARALIGN_COORDINATOR_MEMBERSHIP_H_
