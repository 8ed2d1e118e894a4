// A slot's connection to the coordinator: registers, heartbeats, hands on what
// the coordinator wants.
#ifndef VARALIGN_WORKER_SLOT_LINK_H_
#define VARALIGN_WORKER_SLOT_LINK_H_

#include <memory>
#include <optional>
#include <string>
#include <thread>

#include "absl/base/thread_annotations.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/synchronization/mutex.h"
#include "absl/time/time.h"
#include "base/bounded_queue.h"
#include "base/clock.h"
#include "grpcpp/client_context.h"
#include "varalign/v1/coordinator.grpc.pb.h"
#include "varalign/v1/coordinator.pb.h"

namespace varalign::worker {

// Thread safe; owns one thread. The coordinator may restart: the slot registers
// again under the same id.
class SlotLink {
 public:
  struct Options {
    std::string target;  // HOST:PORT
    v1::RegisterRequest slot;
    // Without an answer for so long the link is lost for good: before the
    // first registration, and after it.
    absl::Duration start_patience = absl::Seconds(20);
    absl::Duration grace = absl::Seconds(60);
  };

  // `clock` outlives the link. InvalidArgument: the target is no address.
  static absl::StatusOr<std::unique_ptr<SlotLink>> Start(
      Options options, const base::Clock& clock);
  SlotLink(const SlotLink&) = delete;
  ~SlotLink();

  // The next start, stop or acknowledgement; nullopt after `timeout`. Asking
  // again says that the last one was handled: until then no heartbeat is sent,
  // since it would describe the slot as it was before.
  std::optional<v1::HeartbeatResponse> NextDirective(absl::Duration timeout);

  // What the next heartbeats say of the slot's process; told at once.
  void SetProcess(const std::optional<v1::ProcessStatus>& process);

  bool is_connected() const;
  // Not ok once the link is lost for good: Unavailable (exit code 69), or the
  // coordinator's refusal.
  absl::Status status() const;

 private:
  SlotLink(Options options, const base::Clock& clock,
           std::unique_ptr<v1::WorkerService::Stub> stub);

  void Run();
  absl::Status Register();
  absl::Status Beat();
  void HandOver(const v1::HeartbeatResponse& directive);
  // After a failed call: waits until the next one. False: there is none, since
  // the link is lost (no `delay`, or an answer that no repeat mends) or stops.
  bool AwaitNextCall(const absl::Status& failure,
                     std::optional<absl::Duration> delay);
  // Why the link is lost; ok where it is not.
  absl::Status LossOf(const absl::Status& failure, bool is_patient) const;
  // After a failed call: says so once it has gone on for a second.
  void LogWaiting(std::optional<absl::Duration>& failing_since) const;
  // Calls with a context that SetProcess and the destructor may cancel.
  template <typename Call>
  auto Cancellable(Call&& call);

  const Options options_;
  const base::Clock& clock_;
  const std::unique_ptr<v1::WorkerService::Stub> stub_;

  base::BoundedQueue<v1::HeartbeatResponse> directives_;

  mutable absl::Mutex mutex_;
  std::optional<v1::ProcessStatus> process_ ABSL_GUARDED_BY(mutex_);
  // The call under way does not know `process_`.
  bool process_changed_ ABSL_GUARDED_BY(mutex_) = false;
  // A directive was pushed and not handled yet; it was handed out.
  bool unhandled_ ABSL_GUARDED_BY(mutex_) = false;
  bool handed_out_ ABSL_GUARDED_BY(mutex_) = false;
  grpc::ClientContext* call_ ABSL_GUARDED_BY(mutex_) = nullptr;
  bool registered_ ABSL_GUARDED_BY(mutex_) = false;
  bool was_registered_ ABSL_GUARDED_BY(mutex_) = false;
  bool stopping_ ABSL_GUARDED_BY(mutex_) = false;
  absl::Status lost_ ABSL_GUARDED_BY(mutex_);

  std::thread thread_;
};

}  // namespace varalign::worker

#endif  // VARALIGN_WORKER_SLOT_LINK_H_
