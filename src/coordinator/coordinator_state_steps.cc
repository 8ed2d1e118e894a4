// What the ranks of the standing group ask of CoordinatorState.
#include <algorithm>
#include <utility>

#include "absl/strings/str_cat.h"
#include "base/checkpoint_name.h"
#include "base/status_macros.h"
#include "coordinator/coordinator_state.h"
#include "coordinator/run_state.h"
#include "rpc/proto_time.h"

namespace varalign::coordinator {
namespace {

// A new step counts half in the smoothed time of a step.
constexpr double kStepTimeShare = 0.5;
// Ranks may ask again for a checkpoint that is this many behind.
constexpr size_t kKeptBarriers = 4;
constexpr size_t kMaxEvaluations = 1000;
constexpr size_t kMaxStoreKeys = 65536;
constexpr size_t kMaxKeyBytes = 1024;

LedgerRow LedgerRowOf(const v1::StepReport& step) {
  return {.step = step.step(),
          .generation = step.generation(),
          .epoch = step.epoch(),
          .block_begin = step.block_begin(),
          .block_end = step.block_end(),
          .examples = step.examples(),
          .rows = step.rows(),
          .tokens = step.tokens(),
          .skipped = step.skipped(),
          .loss = step.loss()};
}

// Not more than a day, whatever was reported.
absl::Duration DurationOf(const v1::StepReport& step) {
  const double seconds = step.seconds();
  return seconds > 0 ? std::min(absl::Seconds(seconds), absl::Hours(24))
                     : absl::ZeroDuration();
}

}  // namespace

absl::StatusOr<Member*> CoordinatorState::Authorize(
    const v1::RankIdentity& identity, const Now& now) {
  const Token token = TokenOf(identity.token());
  if (!group_ || identity.run_id() != group_->run_id) {
    return absl::AbortedError(
        absl::StrCat("leave: the run is not active: ", identity.run_id(),
                     ", token ", token.ToString()));
  }
  if (token != group_->token) {
    return absl::AbortedError(absl::StrCat(
        "leave: this generation has ended: token ", token.ToString(),
        ", the run's is ", group_->token.ToString()));
  }
  Member* member = FindMember(*group_, identity);
  if (member == nullptr) {
    return absl::InvalidArgumentError(
        absl::StrCat("no such rank in the group: rank ", identity.rank(),
                     ", world size ", group_->world_size()));
  }
  member->has_spoken = true;
  member->is_awaited = false;
  member->rank_heard = now.monotonic;
  member->rank_gone.reset();
  return member;
}

absl::StatusOr<v1::Run> CoordinatorState::RunOf(
    const v1::RankIdentity& identity, const Now& now) {
  RETURN_IF_ERROR(Authorize(identity, now).status());
  return active_->run;
}

absl::StatusOr<v1::LeaseStepsResponse> CoordinatorState::LeaseSteps(
    const v1::LeaseStepsRequest& request, const Now& now) {
  RETURN_IF_ERROR(Authorize(request.identity(), now).status());
  const v1::Run& run = active_->run;
  if (request.total_steps() != 0 &&
      request.total_steps() != run.total_steps()) {
    return absl::FailedPreconditionError(absl::StrCat(
        "worker and coordinator see different plans: was the data set changed "
        "since the run was submitted? steps of the worker's plan ",
        request.total_steps(), ", of the run ", run.total_steps()));
  }
  const LeaseSituation situation{.total_steps = run.total_steps(),
                                 .cancel_requested = active_->cancel_requested,
                                 .step_time = group_->step_time};
  ASSIGN_OR_RETURN(
      const LeaseTable::Answer answer,
      group_->leases.Ask(request.begin(), situation, rules_.lease));
  const Lease& lease = answer.lease;
  const absl::Duration validity =
      LeaseValidity(group_->step_time, lease.end - lease.begin, rules_.lease);
  if (answer.is_new) {
    effects_.changes.push_back(AddLease{run.run_id(), run.generation(), lease});
  }
  // A repeat may promise more than the first answer did.
  absl::Duration& promised = group_->validities[lease.end];
  promised = std::max(promised, validity);
  ShortenLeases();
  if (answer.is_new && run.state() == v1::PREPARING) {
    ChangeState(*active_, v1::RUNNING, "", now);
  }
  v1::LeaseStepsResponse response;
  response.set_begin(lease.begin);
  response.set_end(lease.end);
  *response.mutable_valid_for() = rpc::ToProto(validity);
  response.set_then(lease.then);
  return response;
}

void CoordinatorState::ShortenLeases() {
  const absl::Duration validity =
      LeaseValidityFrom(*group_, active_->run.step());
  if (validity == active_->lease_validity) return;
  active_->lease_validity = validity;
  Keep(*active_);
}

absl::Status CoordinatorState::Report(const v1::ReportStepRequest& request,
                                      const Now& now) {
  RETURN_IF_ERROR(Authorize(request.identity(), now).status());
  switch (request.report_case()) {
    case v1::ReportStepRequest::kStep:
      return ReportStep(request.step(), request.identity().rank(), now);
    case v1::ReportStepRequest::kEvaluation:
      ReportEvaluation(request.evaluation(), now);
      return absl::OkStatus();
    case v1::ReportStepRequest::kWarning:
      ReportWarning(request.warning(), now);
      return absl::OkStatus();
    default:
      return absl::InvalidArgumentError(
          "a report must hold a step, an evaluation or a warning");
  }
}

absl::Status CoordinatorState::ReportStep(const v1::StepReport& step,
                                          uint32_t rank, const Now& now) {
  v1::Run& run = active_->run;
  if (rank != 0) {
    return absl::InvalidArgumentError(
        absl::StrCat("only rank 0 reports steps, not rank ", rank));
  }
  if (step.step() < run.step()) return absl::OkStatus();  // a repeat
  if (step.step() > run.step() || step.step() >= group_->leases.end()) {
    return absl::FailedPreconditionError(absl::StrCat(
        "steps are reported in order and within a lease: expected step ",
        run.step(), ", leased up to ", group_->leases.end(), ", got ",
        step.step()));
  }
  v1::StepReport& kept = *run.mutable_last_step();
  kept = step;
  kept.set_generation(run.generation());
  run.set_step(step.step() + 1);
  run.set_tokens(run.tokens() + step.tokens());
  ShortenLeases();
  const absl::Duration took = DurationOf(step);
  group_->step_time =
      group_->step_time == absl::ZeroDuration()
          ? took
          : kStepTimeShare * took + (1 - kStepTimeShare) * group_->step_time;
  effects_.changes.push_back(AddLedgerRow{run.run_id(), LedgerRowOf(kept)});
  effects_.wakes = true;  // a checkpoint may wait for this step
  v1::RunEvent event;
  *event.mutable_step() = kept;
  Emit(*active_, std::move(event), now);
  return absl::OkStatus();
}

void CoordinatorState::ReportEvaluation(const v1::EvaluationReport& evaluation,
                                        const Now& now) {
  auto& known = *active_->run.mutable_evaluations();
  const auto same_step = std::find_if(
      known.begin(), known.end(), [&](const v1::EvaluationReport& other) {
        return other.step() == evaluation.step();
      });
  if (same_step == known.end()) {
    if (known.size() >= static_cast<int>(kMaxEvaluations)) {
      known.erase(known.begin());
    }
    *known.Add() = evaluation;
  } else if (same_step->SerializeAsString() == evaluation.SerializeAsString()) {
    return;  // a repeat
  } else {
    *same_step = evaluation;
  }
  v1::RunEvent event;
  *event.mutable_evaluation() = evaluation;
  Emit(*active_, std::move(event), now);
}

void CoordinatorState::ReportWarning(const v1::WarningEvent& warning,
                                     const Now& now) {
  const auto [known, is_new] =
      group_->warnings.try_emplace(warning.code(), warning.step());
  if (!is_new && known->second >= warning.step()) return;  // a repeat
  known->second = warning.step();
  v1::RunEvent event;
  *event.mutable_warning() = warning;
  Emit(*active_, std::move(event), now);
}

absl::StatusOr<CheckpointBarrier*> CoordinatorState::OpenBarrier(
    uint64_t step) {
  auto& barriers = group_->barriers;
  if (const auto known = barriers.find(step); known != barriers.end()) {
    return &known->second;
  }
  const uint64_t newest = barriers.empty() ? 0 : barriers.rbegin()->first;
  if (step < newest || step < active_->run.checkpoint_step() ||
      step > group_->leases.end()) {
    return absl::FailedPreconditionError(
        absl::StrCat("no checkpoint can be taken at this step: step ", step,
                     ", newest checkpoint ",
                     std::max(newest, active_->run.checkpoint_step()),
                     ", leased up to ", group_->leases.end()));
  }
  if (barriers.size() >= kKeptBarriers) barriers.erase(barriers.begin());
  const auto [barrier, _] =
      barriers.try_emplace(step, step, group_->world_size());
  return &barrier->second;
}

absl::StatusOr<std::optional<v1::CommitCheckpointResponse>>
CoordinatorState::CommitCheckpoint(const v1::CommitCheckpointRequest& request,
                                   const Now& now) {
  RETURN_IF_ERROR(Authorize(request.identity(), now).status());
  const uint32_t rank = request.identity().rank();
  v1::Run& run = active_->run;
  if (!run.checkpoint().empty() && request.step() == run.checkpoint_step()) {
    v1::CommitCheckpointResponse committed;
    committed.set_outcome(v1::CommitCheckpointResponse::COMMITTED);
    return committed;
  }
  ASSIGN_OR_RETURN(CheckpointBarrier* const barrier,
                   OpenBarrier(request.step()));
  if (!request.failure().empty()) {
    barrier->Fail(rank, request.failure());
    effects_.wakes = true;
  } else if (request.confirm()) {
    const bool is_new = barrier->state() == CheckpointBarrier::State::kGranted;
    RETURN_IF_ERROR(barrier->Confirm(rank));
    if (is_new) Acknowledge(*barrier, now);
  } else {
    RETURN_IF_ERROR(
        barrier->Offer(rank, {request.files().begin(), request.files().end()}));
  }
  // The ledger must reach the checkpoint, or a resumed run would have a hole.
  if (barrier->IsComplete() && run.step() >= barrier->step()) {
    barrier->Grant();
    effects_.changes.push_back(
        PutCheckpoint{run.run_id(), run.generation(),
                      CheckpointRecord{.step = barrier->step(),
                                       .num_bytes = barrier->num_bytes()}});
    effects_.wakes = true;
  }
  v1::CommitCheckpointResponse answer = barrier->AnswerFor(rank);
  if (answer.outcome() == v1::CommitCheckpointResponse::PENDING) {
    return std::nullopt;
  }
  return answer;
}

void CoordinatorState::Acknowledge(const CheckpointBarrier& barrier,
                                   const Now& now) {
  v1::Run& run = active_->run;
  run.set_checkpoint_step(barrier.step());
  run.set_checkpoint((base::CheckpointRoot(run.directory()) /
                      base::CheckpointName(barrier.step()))
                         .string());
  effects_.changes.push_back(
      PutCheckpoint{run.run_id(), run.generation(),
                    CheckpointRecord{.step = barrier.step(),
                                     .num_bytes = barrier.num_bytes(),
                                     .acknowledged = true}});
  effects_.wakes = true;
  v1::RunEvent event;
  event.mutable_checkpoint()->set_step(barrier.step());
  event.mutable_checkpoint()->set_path(run.checkpoint());
  event.mutable_checkpoint()->set_num_bytes(barrier.num_bytes());
  Emit(*active_, std::move(event), now);
}

absl::StatusOr<std::optional<v1::Constants>> CoordinatorState::FixConstants(
    const v1::FixConstantsRequest& request, const Now& now) {
  RETURN_IF_ERROR(Authorize(request.identity(), now).status());
  v1::Run& run = active_->run;
  if (request.has_constants() && !run.has_constants()) {
    *run.mutable_constants() = request.constants();
    Keep(*active_);
    effects_.wakes = true;
  }
  if (!run.has_constants()) return std::nullopt;
  return run.constants();
}

absl::Status CoordinatorState::StoreSet(const v1::StoreSetRequest& request,
                                        const Now& now) {
  RETURN_IF_ERROR(Authorize(request.identity(), now).status());
  auto& keys = group_->keys;
  if (request.key().empty() || request.key().size() > kMaxKeyBytes) {
    return absl::InvalidArgumentError(absl::StrCat("a key must have 1 to ",
                                                   kMaxKeyBytes, " bytes, has ",
                                                   request.key().size()));
  }
  if (keys.size() >= kMaxStoreKeys && !keys.contains(request.key())) {
    return absl::InvalidArgumentError(absl::StrCat(
        "too many keys in the store of a generation: limit ", kMaxStoreKeys));
  }
  keys[request.key()] = request.value();
  effects_.changes.push_back(PutStoreKey{group_->run_id,
                                         group_->token.generation,
                                         request.key(), request.value()});
  effects_.wakes = true;
  return absl::OkStatus();
}

absl::StatusOr<std::optional<std::string>> CoordinatorState::StoreGet(
    const v1::StoreGetRequest& request, const Now& now) {
  RETURN_IF_ERROR(Authorize(request.identity(), now).status());
  const auto found = group_->keys.find(request.key());
  if (found == group_->keys.end()) return std::nullopt;
  return found->second;
}

}  // namespace varalign::coordinator
