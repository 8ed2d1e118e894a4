// The group that executes the active run: its ranks, leases, open checkpoints
// and rendezvous keys. Plain state of one generation; CoordinatorState decides.
#ifndef VARALIGN_COORDINATOR_GROUP_H_
#define VARALIGN_COORDINATOR_GROUP_H_

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "absl/time/time.h"
#include "coordinator/changes.h"
#include "coordinator/checkpoint_barrier.h"
#include "coordinator/fencing.h"
#include "coordinator/lease.h"
#include "coordinator/verdict.h"
#include "varalign/v1/coordinator.pb.h"

namespace varalign::coordinator {

struct Member {
  RankRecord record;
  // Monotonic instants, as in RankView.
  bool has_spoken = false;
  absl::Duration rank_heard;
  absl::Duration slot_heard;
  absl::Duration rank_called_at;  // newest heartbeat
  absl::Duration slot_called_at;
  bool is_awaited = false;
  std::optional<absl::Duration> rank_gone;
  std::optional<absl::Duration> slot_gone;
  absl::Duration left_at;  // valid where record.has_left
};

struct Group {
  Group(std::string run, Token fencing_token, uint64_t start_step)
      : run_id(std::move(run)), token(fencing_token), leases(start_step) {}

  const std::string run_id;
  const Token token;
  absl::Duration formed_at;
  std::vector<Member> members;  // by rank
  LeaseTable leases;
  // How long the leases that still have steps to be done hold, by their ends.
  std::map<uint64_t, absl::Duration> validities;
  absl::Duration step_time;  // smoothed; zero until a step was reported
  int formed_in_vain = 0;    // groups of the run before this one, in a row
  std::map<uint64_t, CheckpointBarrier> barriers;  // by step, the newest few
  std::map<std::string, std::string> keys;
  // Codes of warnings that were given, with the step.
  std::map<std::string, uint64_t> warnings;

  uint32_t world_size() const { return static_cast<uint32_t>(members.size()); }
};

// A fresh group on the slots of `ranks`, all heard of at `now`.
Group FormGroup(const v1::Run& run, const Token& token,
                const std::vector<RankRecord>& ranks, absl::Duration now);

// The group of before a restart. Its ranks count as heard of at `heard_at`.
Group RestoreGroup(const RunRecord& record, const StoredGroup& stored,
                   absl::Duration heard_at, absl::Duration now);

// Null: `identity` is not of this group.
Member* FindMember(Group& group, const v1::RankIdentity& identity);
Member* FindMemberOfSlot(Group& group, const std::string& slot_id);

v1::RankIdentity IdentityOf(const Group& group, uint32_t rank);
v1::StartRank StartDirective(const Group& group, const Member& member);

// What Judge looks at.
GroupView ViewOf(const Group& group, const v1::Run& run);

// A member whose slot has left, or is silent, before it started its rank. Null:
// none.
struct StartRules {
  absl::Duration gone_limit;
  absl::Duration silence_limit;
};
const Member* FindNeverStarted(const Group& group, const StartRules& rules,
                               absl::Duration now);

// One of the ranks is known to have left.
bool HasLostRank(const Group& group);

// How long steps of the group may go on once nobody hears of it: the longest
// validity among the leases that end after `step`, of which all steps before
// are done. Forgets the others.
absl::Duration LeaseValidityFrom(Group& group, uint64_t step);

}  // namespace varalign::coordinator

#endif  // VARALIGN_COORDINATOR_GROUP_H_
