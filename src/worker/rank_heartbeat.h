// The rank's hanging heartbeat: says where the rank is, hears whether it must
// leave.
#ifndef VARALIGN_WORKER_RANK_HEARTBEAT_H_
#define VARALIGN_WORKER_RANK_HEARTBEAT_H_

#include <cstdint>
#include <string>
#include <thread>

#include "absl/base/thread_annotations.h"
#include "absl/synchronization/mutex.h"
#include "base/clock.h"
#include "grpcpp/client_context.h"
#include "varalign/v1/coordinator.pb.h"
#include "worker/coordinator_client.h"
#include "worker/departure.h"

namespace varalign::worker {

// Thread safe; owns one thread. The rank leaves when it is told to, when its
// token is refused, or when no heartbeat was answered within the grace.
class RankHeartbeat {
 public:
  // All outlive the heartbeat.
  RankHeartbeat(CoordinatorClient& client, const base::Clock& clock,
                Departure& departure, absl::Duration grace = absl::Seconds(60));
  RankHeartbeat(const RankHeartbeat&) = delete;
  // Cancels the call that is under way.
  ~RankHeartbeat();

  // What the rank does from now on, for those who watch the run: "loading",
  // "saving". Empty: it trains, and the steps tell of themselves.
  void SetActivity(const std::string& activity);
  // The same, counted in `unit`: "rows", "bytes".
  void SetProgress(const std::string& activity, const std::string& unit,
                   uint64_t done, uint64_t total);

 private:
  void Run();
  v1::RankHeartbeat Snapshot();
  void Answered(const v1::HeartbeatResponse& response);

  CoordinatorClient& client_;
  const base::Clock& clock_;
  Departure& departure_;
  const absl::Duration grace_;

  absl::Mutex mutex_;
  v1::RankHeartbeat state_ ABSL_GUARDED_BY(mutex_);
  grpc::ClientContext* call_ ABSL_GUARDED_BY(mutex_) = nullptr;
  bool stopping_ ABSL_GUARDED_BY(mutex_) = false;

  std::thread thread_;
};

}  // namespace varalign::worker

#endif  // VARALIGN_WORKER_RANK_HEARTBEAT_H_
