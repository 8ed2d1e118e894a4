// A reward server in one object: scheduler, executor, services, ports.
//
//   ASSIGN_OR_RETURN(auto server,
//                    RewardServer::Start(options, models, std::move(scorer)));
//   ... serve until a signal ...
//   server->Drain(absl::Seconds(30));
#ifndef VARALIGN_REWARD_SERVER_SERVER_H_
#define VARALIGN_REWARD_SERVER_SERVER_H_

#include <cstdint>
#include <memory>
#include <string>

#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "base/clock.h"
#include "base/host_port.h"
#include "reward_server/executor.h"
#include "reward_server/metrics.h"
#include "reward_server/model_service.h"
#include "reward_server/scheduler.h"
#include "reward_server/scorer.h"
#include "reward_server/scoring_service.h"
#include "reward_server/service_context.h"
#include "rpc/grpc_server.h"
#include "telemetry/http_endpoint.h"
#include "telemetry/metrics.h"

namespace varalign::reward_server {

struct RewardServerOptions {
  std::string listen = "127.0.0.1:0";
  std::string metrics_listen = "127.0.0.1:0";
  base::Exposure exposure = base::Exposure::kLoopbackOnly;
  SchedulerOptions scheduler = {};
  RequestLimits limits = {};
  // Of one stream; 0: a quarter of scheduler.max_inflight_tokens.
  uint64_t token_credit = 0;
  uint32_t max_streams = 1024;
  // Keeps scores beyond the process, and outlives the server; null: memory
  // alone.
  ScoreFile* score_file = nullptr;
};

// Thread safe. The destructor ends what still runs with Unavailable.
class RewardServer {
 public:
  // Serves when it returns. Errors are those of the ports: Unavailable (exit
  // code 69) where one is taken, InvalidArgument, FailedPrecondition.
  static absl::StatusOr<std::unique_ptr<RewardServer>> Start(
      const RewardServerOptions& options, const ServedModels& models,
      std::unique_ptr<Scorer> scorer);
  RewardServer(const RewardServer&) = delete;
  ~RewardServer();

  const std::string& address() const { return grpc_->address(); }
  const std::string& metrics_address() const { return http_->address(); }
  const std::string& fingerprint() const { return context_.fingerprint; }

  // Takes no more work, says so (health, Draining on every stream), finishes
  // what it has taken within `grace`, and shuts the port. Blocks. Idempotent.
  void Drain(absl::Duration grace);

 private:
  RewardServer(const RewardServerOptions& options, const ServedModels& models);

  const base::SystemClock clock_;
  telemetry::Registry registry_;
  Metrics metrics_;
  Scheduler scheduler_;
  const ServiceContext context_;
  ModelService model_service_;
  ScoringService scoring_service_;
  // In the order in which they start; they end the other way round.
  std::unique_ptr<Executor> executor_;
  std::unique_ptr<telemetry::HttpEndpoint> http_;
  std::unique_ptr<rpc::GrpcServer> grpc_;
};

}  // namespace varalign::reward_server

#endif  // VARALIGN_REWARD_SERVER_SERVER_H_
