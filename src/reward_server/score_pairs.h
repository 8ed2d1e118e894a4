// One ScorePairs call.
#ifndef VARALIGN_REWARD_SERVER_SCORE_PAIRS_H_
#define VARALIGN_REWARD_SERVER_SCORE_PAIRS_H_

#include <memory>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "grpcpp/server_context.h"
#include "grpcpp/support/server_callback.h"
#include "reward_server/scoring_job.h"
#include "reward_server/service_context.h"
#include "varalign/v1/reward.pb.h"

namespace varalign::reward_server {

// Deletes itself when gRPC is done with it.
class ScorePairsCall final : public grpc::ServerUnaryReactor {
 public:
  // Submits, or finishes with the error. All arguments outlive the call.
  ScorePairsCall(const ServiceContext& context,
                 grpc::CallbackServerContext& call,
                 const v1::ScorePairsRequest& request,
                 v1::ScorePairsResponse& response);

  void OnCancel() override;
  void OnDone() override { delete this; }

 private:
  absl::Status Submit(const v1::ScorePairsRequest& request);
  void Reply(const absl::StatusOr<std::vector<PairScore>>& scores);
  void FinishWith(const absl::Status& status);

  const ServiceContext& context_;
  grpc::CallbackServerContext& call_;
  v1::ScorePairsResponse& response_;
  WantedScores wanted_;
  std::shared_ptr<ScoringJob> job_;  // null: refused before it was made
};

}  // namespace varalign::reward_server

#endif  // VARALIGN_REWARD_SERVER_SCORE_PAIRS_H_
