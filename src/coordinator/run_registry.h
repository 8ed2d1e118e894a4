// The one owner of the coordinator's state: applies the decisions of
// CoordinatorState under one mutex, makes what they change durable before it
// replies, and lets calls wait for what they ask about.
//
//   call --mutex--> CoordinatorState --changes--> CommitQueue --durable-->
//   reply
#ifndef VARALIGN_COORDINATOR_RUN_REGISTRY_H_
#define VARALIGN_COORDINATOR_RUN_REGISTRY_H_

#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/synchronization/mutex.h"
#include "absl/time/time.h"
#include "base/clock.h"
#include "coordinator/commit_queue.h"
#include "coordinator/coordinator_state.h"
#include "coordinator/event_files.h"
#include "coordinator/metrics.h"
#include "varalign/v1/coordinator.pb.h"

namespace varalign::coordinator {

// How long a call may wait, and whether its caller is still there.
struct CallWait {
  absl::Duration limit;
  std::function<bool()> caller_is_gone;
};

// Something for those who watch runs: see AwaitNews.
struct News {
  uint64_t number = 0;
  // The newest progress of a run, and which news brought it.
  std::optional<RunProgress> progress;
  uint64_t progress_number = 0;
};

// Thread safe; every call blocks until what it changed is durable. Unavailable
// from any call: the database failed, nothing works any more. Aborted and the
// other codes are those of CoordinatorState.
class RunRegistry {
 public:
  // The references outlive the registry. Owns the thread that ticks.
  RunRegistry(const Rules& rules, StoredState stored, RunDatabase& database,
              EventFiles& files, Metrics& metrics, const base::Clock& clock);
  RunRegistry(const RunRegistry&) = delete;
  RunRegistry& operator=(const RunRegistry&) = delete;
  ~RunRegistry();

  absl::StatusOr<v1::Run> AddRun(const PutRequest& request, v1::Run run);
  absl::StatusOr<v1::Run> ResumeRun(const PutRequest& request, RunRecord record,
                                    uint64_t tokens);
  absl::StatusOr<v1::Run> CancelRun(const std::string& run_id);
  std::vector<v1::SlotStatus> Slots();

  absl::StatusOr<v1::RegisterResponse> Register(
      const v1::RegisterRequest& request);
  // Waits for a directive up to the heartbeat interval.
  absl::StatusOr<v1::HeartbeatResponse> Heartbeat(
      const v1::HeartbeatRequest& request, const CallWait& wait);
  absl::StatusOr<v1::LeaseStepsResponse> LeaseSteps(
      const v1::LeaseStepsRequest& request);
  absl::Status Report(const v1::ReportStepRequest& request);
  absl::StatusOr<v1::CommitCheckpointResponse> CommitCheckpoint(
      const v1::CommitCheckpointRequest& request, const CallWait& wait);
  absl::StatusOr<v1::FixConstantsResponse> FixConstants(
      const v1::FixConstantsRequest& request, const CallWait& wait);
  absl::Status StoreSet(const v1::StoreSetRequest& request);
  absl::StatusOr<v1::StoreGetResponse> StoreGet(
      const v1::StoreGetRequest& request, const CallWait& wait);
  absl::StatusOr<v1::Run> RunOf(const v1::RankIdentity& identity);

  // The newest news; then waits until there is newer than `seen`.
  News LatestNews();
  News AwaitNews(uint64_t seen, absl::Duration limit);

  // Waits until the database holds all that was decided before.
  absl::Status Settle();

  // All runs' calls that wait return at once; none waits from now on.
  void StopWaiting();

  absl::Status health() const { return queue_.health(); }

 private:
  template <typename Decide>
  auto Apply(Decide decide) -> decltype(decide(std::declval<Now>()));
  template <typename Reply, typename Attempt>
  absl::StatusOr<std::optional<Reply>> AwaitReply(Attempt attempt,
                                                  const CallWait& wait);

  Now ReadClock() const;
  // Hands the effects on; returns the ticket to wait for.
  uint64_t Publish() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  void OnDurable(const Changes& changes);
  void RunTicks();

  const Rules rules_;
  EventFiles& files_;
  Metrics& metrics_;
  const base::Clock& clock_;

  absl::Mutex mutex_;
  CoordinatorState state_ ABSL_GUARDED_BY(mutex_);
  uint64_t wakeups_ ABSL_GUARDED_BY(mutex_) = 0;
  News news_ ABSL_GUARDED_BY(mutex_);
  bool stopping_ ABSL_GUARDED_BY(mutex_) = false;

  CommitQueue queue_;
  std::thread ticks_;
};

}  // namespace varalign::coordinator

#endif  // VARALIGN_COORDINATOR_RUN_REGISTRY_H_
