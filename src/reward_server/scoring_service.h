// The scoring methods. A handler reads, submits, and returns; the reply is
// written when the scheduler has ended the job.
#ifndef VARALIGN_REWARD_SERVER_SCORING_SERVICE_H_
#define VARALIGN_REWARD_SERVER_SCORING_SERVICE_H_

#include <memory>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/synchronization/mutex.h"
#include "grpcpp/support/server_callback.h"
#include "reward_server/service_context.h"
#include "reward_server/weight_stream.h"
#include "varalign/v1/reward.grpc.pb.h"

namespace varalign::reward_server {

// Thread safe. `context` outlives it.
class ScoringService final : public v1::ScoringService::CallbackService {
 public:
  explicit ScoringService(const ServiceContext& context) : context_(context) {}

  grpc::ServerUnaryReactor* ScorePairs(
      grpc::CallbackServerContext* call, const v1::ScorePairsRequest* request,
      v1::ScorePairsResponse* response) override;
  grpc::ServerBidiReactor<v1::WeightRequest, v1::WeightResponse>* StreamWeights(
      grpc::CallbackServerContext* call) override;

  // Every stream says Draining, answers the groups it has taken and closes;
  // later streams are refused.
  void Drain();

 private:
  const ServiceContext& context_;

  absl::Mutex mutex_;
  std::vector<std::weak_ptr<WeightStream>> streams_ ABSL_GUARDED_BY(mutex_);
  bool draining_ ABSL_GUARDED_BY(mutex_) = false;
};

}  // namespace varalign::reward_server

#endif  // VARALIGN_REWARD_SERVER_SCORING_SERVICE_H_
