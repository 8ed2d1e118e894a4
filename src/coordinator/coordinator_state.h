// All that the coordinator decides, as one state machine without clock, lock,
// thread or I/O: each call takes the time and leaves changes behind, which the
// owner (RunRegistry) makes durable before anyone hears of the result.
//
//   runs of the queue --membership.h--> group of the active run
//   group             --verdict.h-----> the run's end
//
// One run is active at a time. Runs that have ended live in the database only.
#ifndef VARALIGN_COORDINATOR_COORDINATOR_STATE_H_
#define VARALIGN_COORDINATOR_COORDINATOR_STATE_H_

#include <deque>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "coordinator/changes.h"
#include "coordinator/group.h"
#include "coordinator/lease.h"
#include "coordinator/membership.h"
#include "coordinator/slot_pool.h"
#include "coordinator/verdict.h"
#include "varalign/v1/coordinator.pb.h"

namespace varalign::coordinator {

// Whether workers of before a start of the coordinator may still be alive.
enum class Pool {
  kOutlives,
  // All of them ended with the coordinator: runs that they trained have failed,
  // and their leases are void.
  kIsNew,
};

struct Rules {
  Pool pool = Pool::kOutlives;
  MembershipRules membership;
  VerdictRules verdict;
  LeaseRules lease;
  // A heartbeat without directive is answered after this.
  absl::Duration heartbeat_interval = absl::Seconds(1);
  // Workers of before a restart may stay away for so long.
  absl::Duration restart_grace = absl::Seconds(60);
  // A longer time between two ticks means that this process did not run.
  absl::Duration sleep_limit = absl::Seconds(3);
  // A call waits so long for the disk; then its outcome is not known.
  absl::Duration commit_limit = absl::Seconds(20);
  size_t max_queued_runs = 1000;
};

// Long work of the active run: shown to those who watch, not kept.
struct RunProgress {
  std::string run_id;
  v1::ProgressEvent progress;
};

// What calls have left behind since the last TakeEffects.
struct Effects {
  Changes changes;
  std::vector<RunProgress> progress;
  // A call that waits may have an answer now.
  bool wakes = false;
};

// Not thread safe.
class CoordinatorState {
 public:
  CoordinatorState(const Rules& rules, StoredState stored, const Now& now);

  // ------------------------------------------------------------ for clients
  // Queues a new run. ResourceExhausted: the queue is full.
  absl::StatusOr<v1::Run> AddRun(const PutRequest& request, v1::Run run,
                                 const Now& now);
  // Queues a run that has ended, from its newest acknowledged checkpoint.
  // `tokens` were trained up to there. FailedPrecondition: it is active, queued
  // or SUCCEEDED.
  absl::StatusOr<v1::Run> ResumeRun(const PutRequest& request, RunRecord record,
                                    uint64_t tokens, const Now& now);
  // NotFound: not queued or active; if it exists, it has ended.
  absl::StatusOr<v1::Run> CancelRun(const std::string& run_id, const Now& now);
  std::vector<v1::SlotStatus> Slots() const;

  // ------------------------------------------------------------ for workers
  // Codes are those of coordinator.proto. nullopt: no answer yet.
  absl::Status Register(const v1::RegisterRequest& request, const Now& now);

  // A heartbeat that arrived; then, while its call waits, Poll; at its end
  // Answered or, where the caller is gone, Abandoned.
  absl::StatusOr<std::optional<v1::HeartbeatResponse>> Hear(
      const v1::HeartbeatRequest& request, const Now& now);
  absl::StatusOr<std::optional<v1::HeartbeatResponse>> Poll(
      const v1::HeartbeatRequest& request, const Now& now);
  void Answered(const v1::HeartbeatRequest& request, const Now& now);
  // `arrived_at`: when the heartbeat did. Of no account if a newer one has.
  void Abandoned(const v1::HeartbeatRequest& request, absl::Duration arrived_at,
                 const Now& now);

  absl::StatusOr<v1::LeaseStepsResponse> LeaseSteps(
      const v1::LeaseStepsRequest& request, const Now& now);
  absl::Status Report(const v1::ReportStepRequest& request, const Now& now);
  absl::StatusOr<std::optional<v1::CommitCheckpointResponse>> CommitCheckpoint(
      const v1::CommitCheckpointRequest& request, const Now& now);
  absl::StatusOr<std::optional<v1::Constants>> FixConstants(
      const v1::FixConstantsRequest& request, const Now& now);
  absl::Status StoreSet(const v1::StoreSetRequest& request, const Now& now);
  absl::StatusOr<std::optional<std::string>> StoreGet(
      const v1::StoreGetRequest& request, const Now& now);

  // The active run, if `identity` is a rank of its group.
  absl::StatusOr<v1::Run> RunOf(const v1::RankIdentity& identity,
                                const Now& now);

  // ---------------------------------------------------------- for the owner
  // What time alone brings about: groups form, fail, end. Call it often.
  void Tick(const Now& now);
  // Counts nobody's silence before `now`: nobody could be heard.
  void ForgiveSilence(const Now& now);
  Effects TakeEffects();

  uint64_t incarnation() const { return incarnation_; }
  size_t num_idle_slots() const { return pool_.Idle().size(); }
  size_t num_slots() const { return pool_.slots().size(); }

 private:
  struct Queued {
    RunRecord record;
    absl::Duration not_before = -absl::InfiniteDuration();
    int formed_in_vain = 0;
  };

  // The member that calls, marked as heard. Aborted: not of this generation.
  absl::StatusOr<Member*> Authorize(const v1::RankIdentity& identity,
                                    const Now& now);

  // ResourceExhausted: the queue is full.
  absl::Status CheckRoom() const;
  void Enqueue(RunRecord record, const Now& now);
  // Of a run whose group is known to be gone.
  void FailLost(RunRecord record, const Now& now);
  // From when on no lease of the run's newest generation holds.
  absl::Duration LeasesEnd(const RunRecord& record, const Now& now) const;
  void StartNextRun(const Now& now);
  void FormNextGroup(const Form& form, const Now& now);
  // True: a slot left before it started its rank, so the run waits for another.
  bool FormAgain(const Now& now);
  void JudgeGroup(const Now& now);
  v1::Run EndActiveRun(v1::RunState state, const std::string& reason,
                       int32_t exit_code, const Now& now);

  void ChangeState(RunRecord& record, v1::RunState to,
                   const std::string& reason, const Now& now);
  void Emit(RunRecord& record, v1::RunEvent event, const Now& now);
  void Keep(const RunRecord& record);

  std::optional<v1::HeartbeatResponse> HearSlot(
      const v1::SlotHeartbeat& heartbeat, const Now& now);
  void HearProcess(const std::string& slot_id, const v1::ProcessStatus& process,
                   const Now& now);
  void RecordExit(Member& member, const v1::ProcessStatus& process,
                  const Now& now);
  void RecordOldExit(const v1::RankIdentity& identity);
  // What the slot is to be told, if anything.
  std::optional<v1::HeartbeatResponse> SlotDirective(
      const std::string& slot_id);
  // The same, unless it was told so within the last heartbeat interval.
  std::optional<v1::HeartbeatResponse> NewDirective(const std::string& slot_id,
                                                    const Now& now);
  absl::StatusOr<std::optional<v1::HeartbeatResponse>> HearRank(
      const v1::RankHeartbeat& heartbeat, const Now& now);

  // Brings the record of how long leases hold up to date.
  void ShortenLeases();
  absl::Status ReportStep(const v1::StepReport& step, uint32_t rank,
                          const Now& now);
  void ReportEvaluation(const v1::EvaluationReport& evaluation, const Now& now);
  void ReportWarning(const v1::WarningEvent& warning, const Now& now);
  absl::StatusOr<CheckpointBarrier*> OpenBarrier(uint64_t step);
  void Acknowledge(const CheckpointBarrier& barrier, const Now& now);

  const Rules rules_;
  const uint64_t incarnation_;

  uint64_t next_number_;
  SlotPool pool_;
  std::deque<Queued> queue_;
  std::optional<RunRecord> active_;
  std::optional<Group> group_;  // has a value iff active_ has
  // When the leases of groups that were given up have run out, by run.
  std::map<std::string, absl::Duration> leased_until_;
  absl::Duration last_tick_;
  Effects effects_;
};

}  // namespace varalign::coordinator

#endif  // VARALIGN_COORDINATOR_COORDINATOR_STATE_H_
