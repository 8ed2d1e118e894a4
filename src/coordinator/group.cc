#include "coordinator/group.h"

#include <algorithm>
#include <utility>

namespace varalign::coordinator {
namespace {

RankView ViewOf(const Member& member) {
  RankView view{.rank = member.record.rank,
                .host = member.record.host,
                .pid = member.record.pid,
                .has_spoken = member.has_spoken,
                .rank_heard = member.rank_heard,
                .slot_heard = member.slot_heard,
                .is_awaited = member.is_awaited,
                .gone_since = member.rank_gone,
                .exit = std::nullopt};
  if (member.slot_gone &&
      (!view.gone_since || *member.slot_gone < *view.gone_since)) {
    view.gone_since = member.slot_gone;
  }
  if (member.record.has_left) {
    view.exit = RankExit{.code = member.record.exit_code,
                         .signal = member.record.signal,
                         .last_lines = member.record.last_lines,
                         .heard_at = member.left_at};
  }
  return view;
}

}  // namespace

Group FormGroup(const v1::Run& run, const Token& token,
                const std::vector<RankRecord>& ranks, absl::Duration now) {
  Group group(run.run_id(), token, run.step());
  group.formed_at = now;
  for (const RankRecord& record : ranks) {
    Member member;
    member.record = record;
    member.rank_heard = now;
    member.slot_heard = now;
    group.members.push_back(std::move(member));
  }
  return group;
}

Group RestoreGroup(const RunRecord& record, const StoredGroup& stored,
                   absl::Duration heard_at, absl::Duration now) {
  const uint64_t start_step =
      stored.leases.empty() ? record.run.step() : stored.leases.front().begin;
  Group group(record.run.run_id(), record.token, start_step);
  group.formed_at = heard_at;
  for (const RankRecord& rank : stored.ranks) {
    Member member;
    member.record = rank;
    member.has_spoken = rank.pid != 0;
    member.rank_heard = heard_at;
    member.slot_heard = heard_at;
    member.is_awaited = true;
    member.left_at = now;
    group.members.push_back(std::move(member));
  }
  for (const Lease& lease : stored.leases) {
    group.leases.Restore(lease);
    // The longest of them all is what was kept.
    group.validities[lease.end] = record.lease_validity;
  }
  for (const CheckpointRecord& checkpoint : stored.checkpoints) {
    if (checkpoint.acknowledged) continue;
    const auto [barrier, _] = group.barriers.try_emplace(
        checkpoint.step, checkpoint.step, group.world_size());
    barrier->second.RestoreGrant(checkpoint.num_bytes);
  }
  for (const PutStoreKey& entry : stored.keys) {
    group.keys[entry.key] = entry.value;
  }
  if (record.run.has_last_step()) {
    group.step_time = absl::Seconds(record.run.last_step().seconds());
  }
  return group;
}

Member* FindMember(Group& group, const v1::RankIdentity& identity) {
  const bool is_ours = identity.run_id() == group.run_id &&
                       TokenOf(identity.token()) == group.token &&
                       identity.rank() < group.members.size();
  return is_ours ? &group.members[identity.rank()] : nullptr;
}

Member* FindMemberOfSlot(Group& group, const std::string& slot_id) {
  for (Member& member : group.members) {
    if (member.record.slot_id == slot_id) return &member;
  }
  return nullptr;
}

v1::RankIdentity IdentityOf(const Group& group, uint32_t rank) {
  v1::RankIdentity identity;
  identity.set_run_id(group.run_id);
  *identity.mutable_token() = ToProto(group.token);
  identity.set_rank(rank);
  return identity;
}

v1::StartRank StartDirective(const Group& group, const Member& member) {
  v1::StartRank start;
  *start.mutable_identity() = IdentityOf(group, member.record.rank);
  start.set_world_size(group.world_size());
  start.set_ranks_on_host(static_cast<uint32_t>(std::count_if(
      group.members.begin(), group.members.end(), [&](const Member& other) {
        return other.record.host == member.record.host;
      })));
  return start;
}

GroupView ViewOf(const Group& group, const v1::Run& run) {
  GroupView view{.formed_at = group.formed_at,
                 .ending = group.leases.ending(),
                 .ranks = {},
                 .step = run.step(),
                 .total_steps = run.total_steps(),
                 .checkpoint_step = run.checkpoint_step()};
  for (const Member& member : group.members) {
    view.ranks.push_back(ViewOf(member));
  }
  return view;
}

const Member* FindNeverStarted(const Group& group, const StartRules& rules,
                               absl::Duration now) {
  for (const Member& member : group.members) {
    if (member.record.pid != 0 || member.record.has_left || member.has_spoken) {
      continue;
    }
    const bool gone =
        member.slot_gone && now - *member.slot_gone > rules.gone_limit;
    if (gone || now - member.slot_heard > rules.silence_limit) return &member;
  }
  return nullptr;
}

bool HasLostRank(const Group& group) {
  return std::any_of(
      group.members.begin(), group.members.end(),
      [](const Member& member) { return member.record.has_left; });
}

absl::Duration LeaseValidityFrom(Group& group, uint64_t step) {
  group.validities.erase(group.validities.begin(),
                         group.validities.upper_bound(step));
  absl::Duration longest;
  for (const auto& [end, validity] : group.validities) {
    longest = std::max(longest, validity);
  }
  return longest;
}

}  // namespace varalign::coordinator
