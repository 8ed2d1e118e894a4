// What slots and ranks tell CoordinatorState of themselves, and what they are
// told in return.
#include <algorithm>
#include <utility>

#include "absl/strings/str_cat.h"
#include "base/exit_code.h"
#include "base/version.h"
#include "coordinator/coordinator_state.h"

namespace varalign::coordinator {
namespace {

using Reply = std::optional<v1::HeartbeatResponse>;

constexpr size_t kMaxNameBytes = 256;
// Of a rank's standard error, in the reason of a failed run.
constexpr size_t kLastLineBytes = 1024;

absl::Status CheckSlotId(const std::string& slot_id) {
  if (!slot_id.empty() && slot_id.size() <= kMaxNameBytes) {
    return absl::OkStatus();
  }
  return absl::InvalidArgumentError(absl::StrCat("slot_id must have 1 to ",
                                                 kMaxNameBytes, " bytes, has ",
                                                 slot_id.size()));
}

// The end of `text` from the start of a line.
std::string LastLines(std::string text) {
  while (!text.empty() && text.back() == '\n') text.pop_back();
  if (text.size() <= kLastLineBytes) return text;
  const size_t cut = text.size() - kLastLineBytes;
  const size_t newline = text.find('\n', cut);
  return text.substr(newline == std::string::npos ? cut : newline + 1);
}

v1::HeartbeatResponse Stop(const v1::RankIdentity& identity,
                           std::string_view reason) {
  v1::HeartbeatResponse reply;
  *reply.mutable_stop()->mutable_identity() = identity;
  reply.mutable_stop()->set_reason(std::string(reason));
  return reply;
}

}  // namespace

absl::Status CoordinatorState::Register(const v1::RegisterRequest& request,
                                        const Now& now) {
  if (request.protocol() != base::kProtocol) {
    return absl::FailedPreconditionError(absl::StrCat(
        "worker and coordinator do not speak the same protocol: install the "
        "same version on both; worker ",
        request.version(), " (protocol ", request.protocol(), "), coordinator ",
        base::kVersion, " (protocol ", base::kProtocol, ")"));
  }
  if (absl::Status status = CheckSlotId(request.slot_id()); !status.ok()) {
    return status;
  }
  if (request.host().empty() || request.host().size() > kMaxNameBytes) {
    return absl::InvalidArgumentError("host must be given and be a host name");
  }
  if (request.metrics_address().size() > kMaxNameBytes) {
    return absl::InvalidArgumentError("metrics_address must be HOST:PORT");
  }
  return pool_.Register(request, now.monotonic);
}

absl::StatusOr<Reply> CoordinatorState::Hear(
    const v1::HeartbeatRequest& request, const Now& now) {
  switch (request.sender_case()) {
    case v1::HeartbeatRequest::kSlot:
      return HearSlot(request.slot(), now);
    case v1::HeartbeatRequest::kRank:
      return HearRank(request.rank(), now);
    default:
      return absl::InvalidArgumentError("a heartbeat must name its sender");
  }
}

Reply CoordinatorState::HearSlot(const v1::SlotHeartbeat& heartbeat,
                                 const Now& now) {
  const std::string& slot_id = heartbeat.slot_id();
  if (pool_.Find(slot_id) == nullptr) return SlotDirective(slot_id);
  pool_.Hear(heartbeat, now.monotonic);
  Member* member = group_ ? FindMemberOfSlot(*group_, slot_id) : nullptr;
  if (member != nullptr) {
    member->slot_heard = now.monotonic;
    member->slot_called_at = now.monotonic;
    member->slot_gone.reset();
  }
  if (heartbeat.has_process()) {
    HearProcess(slot_id, heartbeat.process(), now);
  } else if (member != nullptr && member->record.pid != 0 &&
             !member->record.has_left) {
    v1::ProcessStatus lost;
    lost.set_pid(member->record.pid);
    lost.set_exit_code(base::kExitInternal);
    lost.set_last_lines("its slot does not know of it any more");
    RecordExit(*member, lost, now);
  }
  if (heartbeat.process().exited()) {
    v1::HeartbeatResponse reply;
    *reply.mutable_acknowledge_exit()->mutable_identity() =
        heartbeat.process().identity();
    return reply;
  }
  return NewDirective(slot_id, now);
}

void CoordinatorState::HearProcess(const std::string& slot_id,
                                   const v1::ProcessStatus& process,
                                   const Now& now) {
  Member* member = group_ ? FindMember(*group_, process.identity()) : nullptr;
  if (member == nullptr || member->record.slot_id != slot_id) {
    if (process.exited()) RecordOldExit(process.identity());
    return;
  }
  if (process.exited()) {
    RecordExit(*member, process, now);
  } else if (member->record.pid != process.pid()) {
    member->record.pid = process.pid();
    effects_.changes.push_back(
        PutRank{group_->run_id, group_->token.generation, member->record});
  }
}

void CoordinatorState::RecordExit(Member& member,
                                  const v1::ProcessStatus& process,
                                  const Now& now) {
  if (member.record.has_left) return;
  RankRecord& record = member.record;
  record.has_left = true;
  record.pid = process.pid();
  record.exit_code = process.exit_code();
  record.signal = process.signal();
  record.last_lines = LastLines(process.last_lines());
  member.left_at = now.monotonic;
  effects_.changes.push_back(
      PutRank{group_->run_id, group_->token.generation, record});
}

void CoordinatorState::RecordOldExit(const v1::RankIdentity& identity) {
  effects_.changes.push_back(
      MarkGroupEnded{identity.run_id(), identity.token().generation()});
  for (Queued& queued : queue_) {
    if (queued.record.run.run_id() != identity.run_id()) continue;
    if (queued.record.token != TokenOf(identity.token())) continue;
    queued.record.group_has_ended = true;
    queued.not_before = -absl::InfiniteDuration();
    Keep(queued.record);
  }
}

Reply CoordinatorState::SlotDirective(const std::string& slot_id) {
  const Slot* slot = pool_.Find(slot_id);
  if (slot == nullptr) {
    v1::HeartbeatResponse reply;
    reply.mutable_register_again();
    return reply;
  }
  if (slot->process) {
    const v1::RankIdentity& identity = slot->process->identity();
    const Member* member = group_ ? FindMember(*group_, identity) : nullptr;
    if (member != nullptr && member->record.slot_id == slot_id) {
      return std::nullopt;
    }
    return Stop(identity, "its generation has ended");
  }
  const Member* member = group_ ? FindMemberOfSlot(*group_, slot_id) : nullptr;
  if (member == nullptr || member->record.pid != 0 || member->record.has_left) {
    return std::nullopt;
  }
  v1::HeartbeatResponse reply;
  *reply.mutable_start() = StartDirective(*group_, *member);
  return reply;
}

Reply CoordinatorState::NewDirective(const std::string& slot_id,
                                     const Now& now) {
  const Reply directive = SlotDirective(slot_id);
  const bool is_new =
      directive && pool_.MayDirect(slot_id, *directive,
                                   rules_.heartbeat_interval, now.monotonic);
  return is_new ? directive : std::nullopt;
}

absl::StatusOr<Reply> CoordinatorState::HearRank(
    const v1::RankHeartbeat& heartbeat, const Now& now) {
  const v1::RankIdentity& identity = heartbeat.identity();
  if (!active_ || identity.run_id() != group_->run_id) {
    return Stop(identity, "the run has ended");
  }
  absl::StatusOr<Member*> member = Authorize(identity, now);
  if (!member.ok()) return member.status();
  (*member)->rank_called_at = now.monotonic;
  // One voice for the group: the first rank does what the others wait for, or
  // its share of what they all do.
  if (heartbeat.has_progress() && identity.rank() == 0) {
    effects_.progress.push_back({group_->run_id, heartbeat.progress()});
  }
  return std::nullopt;
}

absl::StatusOr<Reply> CoordinatorState::Poll(
    const v1::HeartbeatRequest& request, const Now& now) {
  if (request.has_rank()) {
    const v1::RankIdentity& identity = request.rank().identity();
    if (group_ && FindMember(*group_, identity)) return std::nullopt;
    return Stop(identity, "the run has ended");
  }
  return NewDirective(request.slot().slot_id(), now);
}

void CoordinatorState::Answered(const v1::HeartbeatRequest& request,
                                const Now& now) {
  if (request.has_slot()) pool_.Touch(request.slot().slot_id(), now.monotonic);
  if (!group_) return;
  if (request.has_rank()) {
    Member* member = FindMember(*group_, request.rank().identity());
    if (member != nullptr) member->rank_heard = now.monotonic;
  } else if (Member* member =
                 FindMemberOfSlot(*group_, request.slot().slot_id())) {
    member->slot_heard = now.monotonic;
  }
}

void CoordinatorState::Abandoned(const v1::HeartbeatRequest& request,
                                 absl::Duration arrived_at, const Now& now) {
  if (request.has_slot()) {
    pool_.Lose(request.slot().slot_id(), arrived_at, now.monotonic);
  }
  if (!group_) return;
  if (request.has_rank()) {
    Member* member = FindMember(*group_, request.rank().identity());
    if (member != nullptr && member->rank_called_at <= arrived_at) {
      member->rank_gone = now.monotonic;
    }
  } else if (Member* member =
                 FindMemberOfSlot(*group_, request.slot().slot_id())) {
    if (member->slot_called_at <= arrived_at) {
      member->slot_gone = now.monotonic;
    }
  }
}

}  // namespace varalign::coordinator
