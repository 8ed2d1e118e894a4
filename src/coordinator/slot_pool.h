// The slots that supervisors have registered, what they said of their
// processes, and what they are to be told. Pure: time is an argument.
#ifndef VARALIGN_COORDINATOR_SLOT_POOL_H_
#define VARALIGN_COORDINATOR_SLOT_POOL_H_

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/time/time.h"
#include "coordinator/membership.h"
#include "varalign/v1/coordinator.pb.h"

namespace varalign::coordinator {

struct Slot {
  v1::RegisterRequest announced;
  uint64_t order = 0;
  absl::Duration heard_at;
  absl::Duration called_at;  // newest heartbeat
  // Its heartbeat connection broke and it has not called since.
  std::optional<absl::Duration> gone_since;
  // The process that it runs, as it said last.
  std::optional<v1::ProcessStatus> process;
  // It has called since it registered, or since it was told something: what
  // `process` says is no older than that.
  bool is_current = false;

  // The last directive, and when: it is not repeated at once.
  std::string last_directive;
  absl::Duration directed_at = -absl::InfiniteDuration();
};

// Not thread safe.
class SlotPool {
 public:
  // A repeat is the same slot. ResourceExhausted: too many slots.
  absl::Status Register(const v1::RegisterRequest& request, absl::Duration now);

  // Null: unknown, it must register again.
  Slot* Find(const std::string& slot_id);
  const Slot* Find(const std::string& slot_id) const;

  // A call of the slot arrived. REQUIRES: the slot is registered.
  void Hear(const v1::SlotHeartbeat& heartbeat, absl::Duration now);
  // A call of the slot was answered: it was there until now.
  void Touch(const std::string& slot_id, absl::Duration now);
  // The connection of a waiting call broke, which had arrived at `arrived_at`.
  void Lose(const std::string& slot_id, absl::Duration arrived_at,
            absl::Duration now);

  // Sends `directive` unless the same was sent less than `pause` ago. True: it
  // is to be sent now.
  bool MayDirect(const std::string& slot_id,
                 const v1::HeartbeatResponse& directive, absl::Duration pause,
                 absl::Duration now);

  // Forgets slots without a word for longer than `limit`; returns their ids.
  std::vector<std::string> RemoveSilent(absl::Duration limit,
                                        absl::Duration now);
  // As if all had been heard now: this process itself was asleep.
  void ForgiveSilence(absl::Duration now);

  // Slots that run nothing and were told nothing since they said so.
  std::vector<IdleSlot> Idle() const;

  // When a slot last came, went, or said that its process is gone.
  absl::Duration last_change() const { return last_change_; }
  const std::map<std::string, Slot>& slots() const { return slots_; }

 private:
  std::map<std::string, Slot> slots_;
  uint64_t next_order_ = 1;
  absl::Duration last_change_ = -absl::InfiniteDuration();
};

}  // namespace varalign::coordinator

#endif  // VARALIGN_COORDINATOR_SLOT_POOL_H_
