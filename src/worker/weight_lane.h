// One StreamWeights connection to one reward server, kept alive: Z-sets in,
// answers out, in any order; reconnects and sends again what is unanswered.
#ifndef VARALIGN_WORKER_WEIGHT_LANE_H_
#define VARALIGN_WORKER_WEIGHT_LANE_H_

#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <thread>

#include "absl/base/thread_annotations.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/synchronization/mutex.h"
#include "absl/time/time.h"
#include "base/clock.h"
#include "grpcpp/client_context.h"
#include "grpcpp/support/sync_stream.h"
#include "varalign/v1/reward.grpc.pb.h"
#include "varalign/v1/reward.pb.h"

namespace varalign::worker {

// A Z-set on its way, known by a ticket of the client's.
struct WeightJob {
  uint64_t ticket = 0;
  v1::Group group;  // without id and deadline
  uint64_t tokens = 0;
  absl::Duration not_before = absl::ZeroDuration();  // monotonic
  int attempts = 0;
};

// Thread safe; owns two threads while connected, one otherwise. Groups are
// idempotent, so a lost stream costs a repeat. Tokens under way stay below the
// server's credit.
class WeightLane {
 public:
  struct Options {
    std::string server;  // HOST:PORT
    v1::Open open;
    uint64_t seed = 0;  // of the backoff
  };
  // Called from the lane's threads; must not block. An answer, or an error that
  // a repeat would not mend.
  using OnAnswer =
      std::function<void(uint64_t ticket, absl::StatusOr<v1::GroupWeights>)>;
  // The server is lost: the unanswered jobs, to be sent elsewhere. Returns
  // false to leave them here.
  using OnLost = std::function<bool(std::map<uint64_t, WeightJob>& jobs)>;
  // When nobody will want the answer any more, on the monotonic clock;
  // InfiniteDuration while that is not known. Called under the lane's lock.
  using GiveUpAt = std::function<absl::Duration(uint64_t ticket)>;
  struct Callbacks {
    OnAnswer on_answer;
    OnLost on_lost;
    GiveUpAt give_up_at;
  };

  // `clock` outlives the lane. InvalidArgument: no address.
  static absl::StatusOr<std::unique_ptr<WeightLane>> Start(
      Options options, Callbacks callbacks, const base::Clock& clock);
  WeightLane(const WeightLane&) = delete;
  ~WeightLane();

  void Send(WeightJob job);

  // Ends the connection; nothing is answered any more. Idempotent.
  void Stop();
  // Waits for the threads. REQUIRES: after Stop, once.
  void Join();

 private:
  using Stream =
      grpc::ClientReaderWriter<v1::WeightRequest, v1::WeightResponse>;

  WeightLane(Options options, Callbacks callbacks, const base::Clock& clock,
             std::unique_ptr<v1::ScoringService::Stub> stub);

  void Run();
  // False: the lane stops.
  bool AwaitJobs();
  // For `delay`, or until the first of the waiting jobs is late.
  void Pause(absl::Duration delay);
  // From Open to the end of the stream; why it ended.
  absl::Status Serve();
  // Unavailable: the stream has ended, see Finish, or the server is draining.
  // Internal: the server does not speak this protocol.
  absl::Status OpenStream(Stream& stream);
  void WriteJobs(Stream& stream);
  void ReadAnswers(Stream& stream);
  void Take(const v1::WeightResponse& response);
  void TakeError(const v1::GroupError& error);
  // The next job that credit and its backoff allow.
  std::optional<uint64_t> Ready() const ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  // Puts what was under way back among the waiting jobs.
  void TakeBack() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  // Gives what waits to OnLost.
  void MoveOn();
  // Until the first of the waiting jobs is late.
  absl::Duration TimeLeft() const ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  // Answers the jobs whose time is over.
  void FailLate();
  void FailAll(const absl::Status& status);

  const Options options_;
  const Callbacks callbacks_;
  const base::Clock& clock_;
  const std::unique_ptr<v1::ScoringService::Stub> stub_;

  mutable absl::Mutex mutex_;
  std::map<uint64_t, WeightJob> waiting_ ABSL_GUARDED_BY(mutex_);  // by ticket
  std::map<uint64_t, WeightJob> under_way_ ABSL_GUARDED_BY(mutex_);  // by id
  uint64_t last_group_id_ ABSL_GUARDED_BY(mutex_) = 0;  // of the stream
  uint64_t tokens_under_way_ ABSL_GUARDED_BY(mutex_) = 0;
  uint64_t credit_ ABSL_GUARDED_BY(mutex_) = 0;
  bool broken_ ABSL_GUARDED_BY(mutex_) = false;  // the stream has ended
  bool draining_ ABSL_GUARDED_BY(mutex_) = false;
  bool answered_ ABSL_GUARDED_BY(mutex_) = false;  // since it was opened
  bool stopping_ ABSL_GUARDED_BY(mutex_) = false;
  grpc::ClientContext* context_ ABSL_GUARDED_BY(mutex_) = nullptr;

  std::thread thread_;
};

}  // namespace varalign::worker

#endif  // VARALIGN_WORKER_WEIGHT_LANE_H_
