#include "coordinator/coordinator_state.h"

#include <algorithm>
#include <utility>

#include "absl/strings/str_cat.h"
#include "base/exit_code.h"
#include "base/require.h"
#include "coordinator/run_state.h"
#include "rpc/proto_time.h"

namespace varalign::coordinator {
namespace {

// Then a slot that never starts fails the run, as any other lost rank.
constexpr int kMaxGroupsInVain = 3;

}  // namespace

CoordinatorState::CoordinatorState(const Rules& rules, StoredState stored,
                                   const Now& now)
    : rules_(rules),
      incarnation_(stored.incarnation),
      next_number_(stored.next_number),
      last_tick_(now.monotonic) {
  // So that the silence limit is reached when the grace is over.
  const absl::Duration heard_at =
      now.monotonic + rules.restart_grace - rules.verdict.silence_limit;
  for (RunRecord& record : stored.runs) {
    if (!IsActive(record.run.state())) {
      Enqueue(std::move(record), now);
      continue;
    }
    if (rules.pool == Pool::kIsNew) {
      FailLost(std::move(record), now);
      continue;
    }
    group_.emplace(RestoreGroup(record, stored.group, heard_at, now.monotonic));
    active_ = std::move(record);
  }
}

void CoordinatorState::FailLost(RunRecord record, const Now& now) {
  record.group_has_ended = true;
  record.run.set_exit_code(base::kExitUnavailable);
  ChangeState(record, v1::FAILED,
              "the processes that trained it have ended with the coordinator",
              now);
}

void CoordinatorState::Enqueue(RunRecord record, const Now& now) {
  const absl::Duration not_before = LeasesEnd(record, now);
  queue_.push_back({.record = std::move(record), .not_before = not_before});
}

absl::Duration CoordinatorState::LeasesEnd(const RunRecord& record,
                                           const Now& now) const {
  if (record.group_has_ended) return -absl::InfiniteDuration();
  const auto known = leased_until_.find(record.run.run_id());
  if (known != leased_until_.end()) return known->second;
  // A group that this process formed, and gave up, is forgotten once its leases
  // have run out. Of another's nobody knows when it was given up.
  const bool was_ours = record.token.incarnation == incarnation_;
  return was_ours || rules_.pool == Pool::kIsNew
             ? -absl::InfiniteDuration()
             : now.monotonic + record.lease_validity;
}

void CoordinatorState::ForgiveSilence(const Now& now) {
  pool_.ForgiveSilence(now.monotonic);
  if (!group_) return;
  for (Member& member : group_->members) {
    member.rank_heard = std::max(member.rank_heard, now.monotonic);
    member.slot_heard = std::max(member.slot_heard, now.monotonic);
    member.rank_gone.reset();
    member.slot_gone.reset();
  }
}

void CoordinatorState::Tick(const Now& now) {
  // Nobody could be heard while this process did not run.
  if (now.monotonic - last_tick_ > rules_.sleep_limit) ForgiveSilence(now);
  last_tick_ = now.monotonic;
  std::erase_if(leased_until_, [&now](const auto& entry) {
    return entry.second <= now.monotonic;
  });
  pool_.RemoveSilent(rules_.verdict.silence_limit, now.monotonic);
  if (active_) JudgeGroup(now);
  if (!active_) StartNextRun(now);
}

bool CoordinatorState::FormAgain(const Now& now) {
  // After the first lease a rank may have trained.
  if (active_->run.state() != v1::PREPARING) return false;
  if (group_->formed_in_vain >= kMaxGroupsInVain) return false;
  const StartRules start{.gone_limit = rules_.heartbeat_interval,
                         .silence_limit = rules_.verdict.silence_limit};
  const Member* lost = FindNeverStarted(*group_, start, now.monotonic);
  if (lost == nullptr) return false;
  const std::string reason = absl::StrCat(
      "waiting for another worker: the slot of rank ", lost->record.rank,
      " left before it started: ", lost->record.slot_id);
  Queued queued{.record = *std::move(active_),
                .formed_in_vain = group_->formed_in_vain + 1};
  active_.reset();
  group_.reset();
  ChangeState(queued.record, v1::QUEUED, reason, now);
  queue_.push_front(std::move(queued));
  return true;
}

void CoordinatorState::JudgeGroup(const Now& now) {
  if (FormAgain(now)) return;
  const Verdict verdict =
      Judge(ViewOf(*group_, active_->run), rules_.verdict, now.monotonic);
  if (const auto* failed = std::get_if<Failed>(&verdict)) {
    EndActiveRun(v1::FAILED, failed->reason, failed->exit_code, now);
  } else if (const auto* done = std::get_if<Done>(&verdict)) {
    const bool is_cancelled = done->state == v1::CANCELLED;
    EndActiveRun(done->state, is_cancelled ? "cancelled" : "",
                 is_cancelled ? base::kExitStopped : base::kExitOk, now);
  }
}

v1::Run CoordinatorState::EndActiveRun(v1::RunState state,
                                       const std::string& reason,
                                       int32_t exit_code, const Now& now) {
  RunRecord record = *std::move(active_);
  record.group_has_ended = HasLostRank(*group_);
  if (!record.group_has_ended) {
    leased_until_[record.run.run_id()] = now.monotonic + record.lease_validity;
  }
  record.run.set_exit_code(exit_code);
  active_.reset();
  group_.reset();
  ChangeState(record, state, reason, now);
  return std::move(record.run);
}

void CoordinatorState::StartNextRun(const Now& now) {
  if (queue_.empty()) return;
  Queued& head = queue_.front();
  const MembershipView view{
      .workers = head.record.run.config().train().workers(),
      .idle = pool_.Idle(),
      .num_slots = pool_.slots().size(),
      .last_change = pool_.last_change(),
      .not_before = head.not_before};
  const Move move = NextMove(view, rules_.membership, now.monotonic);
  if (const auto* form = std::get_if<Form>(&move)) {
    FormNextGroup(*form, now);
  } else if (const Wait& wait = std::get<Wait>(move);
             wait.reason != head.record.run.reason()) {
    head.record.run.set_reason(wait.reason);
    Keep(head.record);
  }
}

void CoordinatorState::FormNextGroup(const Form& form, const Now& now) {
  RunRecord record = std::move(queue_.front().record);
  const int formed_in_vain = queue_.front().formed_in_vain;
  queue_.pop_front();
  v1::Run& run = record.run;
  run.set_generation(run.generation() + 1);
  run.set_world_size(static_cast<uint32_t>(form.slot_ids.size()));
  record.token = {incarnation_, run.generation()};
  record.group_has_ended = false;
  record.lease_validity = absl::ZeroDuration();
  std::vector<RankRecord> ranks;
  for (const std::string& slot_id : form.slot_ids) {
    ranks.push_back({.rank = static_cast<uint32_t>(ranks.size()),
                     .slot_id = slot_id,
                     .host = pool_.Find(slot_id)->announced.host()});
    effects_.changes.push_back(
        PutRank{run.run_id(), run.generation(), ranks.back()});
  }
  effects_.changes.push_back(AddGeneration{
      run.run_id(), GenerationStart{.generation = run.generation(),
                                    .incarnation = incarnation_,
                                    .start_step = run.step(),
                                    .world_size = run.world_size()}});
  group_.emplace(FormGroup(run, record.token, ranks, now.monotonic));
  group_->formed_in_vain = formed_in_vain;
  active_ = std::move(record);
  ChangeState(*active_, v1::PREPARING, "", now);
}

void CoordinatorState::ChangeState(RunRecord& record, v1::RunState to,
                                   const std::string& reason, const Now& now) {
  v1::Run& run = record.run;
  base::Require(IsAllowed(run.state(), to),
                "a run changed its state against the table of run_state.h");
  v1::RunEvent event;
  event.mutable_state()->set_from(run.state());
  event.mutable_state()->set_to(to);
  event.mutable_state()->set_reason(reason);
  event.mutable_state()->set_generation(run.generation());
  if (HasEnded(to)) {
    event.mutable_state()->set_exit_code(run.exit_code());
    *run.mutable_end_time() = rpc::ToProto(now.wall);
  }
  run.set_state(to);
  run.set_reason(reason);
  effects_.wakes = true;
  Emit(record, std::move(event), now);
}

void CoordinatorState::Emit(RunRecord& record, v1::RunEvent event,
                            const Now& now) {
  event.set_number(++record.num_events);
  *event.mutable_time() = rpc::ToProto(now.wall);
  effects_.changes.push_back(AddEvent{record.run.run_id(), std::move(event)});
  Keep(record);
}

void CoordinatorState::Keep(const RunRecord& record) {
  // Only the last state of a run within one set of changes matters.
  for (Change& change : effects_.changes) {
    auto* put = std::get_if<PutRun>(&change);
    if (put == nullptr) continue;
    if (put->record.run.run_id() != record.run.run_id()) continue;
    put->record = record;
    return;
  }
  effects_.changes.push_back(PutRun{record});
}

Effects CoordinatorState::TakeEffects() {
  return std::exchange(effects_, Effects{});
}

}  // namespace varalign::coordinator
