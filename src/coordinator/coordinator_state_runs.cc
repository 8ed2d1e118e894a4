// What clients ask of CoordinatorState.
#include <algorithm>
#include <utility>

#include "absl/strings/str_cat.h"
#include "base/exit_code.h"
#include "base/status_macros.h"
#include "base/string_view.h"
#include "coordinator/coordinator_state.h"
#include "coordinator/run_state.h"
#include "rpc/proto_time.h"

namespace varalign::coordinator {
namespace {

// What the attempt before left on a run that starts anew.
void ForgetEnd(v1::Run& run) {
  run.clear_end_time();
  run.clear_exit_code();
}

}  // namespace

absl::Status CoordinatorState::CheckRoom() const {
  if (queue_.size() < rules_.max_queued_runs) return absl::OkStatus();
  return absl::ResourceExhaustedError(
      absl::StrCat("too many runs are queued: wait, or cancel some; limit ",
                   rules_.max_queued_runs));
}

absl::StatusOr<v1::Run> CoordinatorState::AddRun(const PutRequest& request,
                                                 v1::Run run, const Now& now) {
  RETURN_IF_ERROR(CheckRoom());
  RunRecord record;
  record.run = std::move(run);
  record.number = next_number_++;
  *record.run.mutable_submit_time() = rpc::ToProto(now.wall);
  effects_.changes.push_back(request);
  ChangeState(record, v1::QUEUED, "", now);
  Enqueue(record, now);
  return record.run;
}

absl::StatusOr<v1::Run> CoordinatorState::ResumeRun(const PutRequest& request,
                                                    RunRecord record,
                                                    uint64_t tokens,
                                                    const Now& now) {
  v1::Run& run = record.run;
  if (!IsResumable(run.state())) {
    return absl::FailedPreconditionError(absl::StrCat(
        "only failed and cancelled runs can be resumed: run ", run.run_id(),
        " is ", base::ToAbsl(StateWord(run.state()))));
  }
  RETURN_IF_ERROR(CheckRoom());
  record.number = next_number_++;
  record.cancel_requested = false;
  run.set_step(run.checkpoint_step());
  run.set_tokens(tokens);
  ForgetEnd(run);
  effects_.changes.push_back(request);
  ChangeState(record, v1::QUEUED, "", now);
  v1::Run result = run;
  Enqueue(std::move(record), now);
  return result;
}

absl::StatusOr<v1::Run> CoordinatorState::CancelRun(const std::string& run_id,
                                                    const Now& now) {
  if (active_ && active_->run.run_id() == run_id) {
    if (active_->run.state() != v1::RUNNING) {
      return EndActiveRun(v1::CANCELLED, "cancelled before the first step",
                          base::kExitStopped, now);
    }
    if (!active_->cancel_requested) {
      active_->cancel_requested = true;
      active_->run.set_reason("cancel requested: stops after this lease");
      Keep(*active_);
    }
    return active_->run;
  }
  const auto found = std::find_if(queue_.begin(), queue_.end(),
                                  [&run_id](const Queued& queued) {
                                    return queued.record.run.run_id() == run_id;
                                  });
  if (found == queue_.end()) {
    return absl::NotFoundError(
        absl::StrCat("no such run is queued or active: ", run_id));
  }
  RunRecord record = std::move(found->record);
  queue_.erase(found);
  record.run.set_exit_code(base::kExitStopped);
  ChangeState(record, v1::CANCELLED, "cancelled while queued", now);
  return record.run;
}

std::vector<v1::SlotStatus> CoordinatorState::Slots() const {
  std::vector<v1::SlotStatus> slots;
  for (const auto& [slot_id, slot] : pool_.slots()) {
    v1::SlotStatus& status = slots.emplace_back();
    status.set_slot_id(slot_id);
    status.set_host(slot.announced.host());
    status.set_pid(slot.announced.pid());
    status.set_metrics_address(slot.announced.metrics_address());
    if (slot.process) {
      status.set_run_id(slot.process->identity().run_id());
      status.set_rank(slot.process->identity().rank());
    }
  }
  return slots;
}

}  // namespace varalign::coordinator
