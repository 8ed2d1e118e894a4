#include "reward_server/server.h"

#include <algorithm>
#include <utility>

#include "absl/status/status.h"
#include "base/status_macros.h"
#include "base/string_view.h"
#include "rpc/keepalive.h"

namespace varalign::reward_server {
namespace {

// What calls get to notice that the scheduler has ended their jobs.
constexpr absl::Duration kCloseGrace = absl::Seconds(1);

uint64_t TokenCredit(const RewardServerOptions& options) {
  if (options.token_credit > 0) return options.token_credit;
  return std::max<uint64_t>(options.scheduler.max_inflight_tokens / 4, 1);
}

rpc::ServerOptions GrpcOptions(const RewardServerOptions& options,
                               Metrics& metrics) {
  rpc::ServerOptions grpc;
  grpc.listen = options.listen;
  grpc.exposure = options.exposure;
  grpc.max_message_bytes = rpc::kScoreMessageBytes;
  grpc.on_call = [&metrics](const rpc::CallRecord& call) {
    metrics.call_seconds.Observe(call.method, call.code, call.duration);
  };
  return grpc;
}

}  // namespace

RewardServer::RewardServer(const RewardServerOptions& options,
                           const ServedModels& models)
    : registry_("reward_server"),
      metrics_(registry_),
      scheduler_(options.scheduler, models, clock_, metrics_,
                 options.score_file),
      context_{models,
               ServerFingerprint(models),
               options.limits,
               options.scheduler.max_inflight_tokens,
               TokenCredit(options),
               options.max_streams,
               clock_,
               scheduler_,
               metrics_},
      model_service_(context_),
      scoring_service_(context_) {}

absl::StatusOr<std::unique_ptr<RewardServer>> RewardServer::Start(
    const RewardServerOptions& options, const ServedModels& models,
    std::unique_ptr<Scorer> scorer) {
  std::unique_ptr<RewardServer> server(new RewardServer(options, models));
  server->executor_ = std::make_unique<Executor>(
      std::move(scorer), server->scheduler_, server->clock_, server->metrics_);
  ASSIGN_OR_RETURN(server->http_,
                   telemetry::HttpEndpoint::Start(
                       {options.metrics_listen, options.exposure},
                       server->registry_, [] { return absl::OkStatus(); }));
  ASSIGN_OR_RETURN(server->grpc_,
                   rpc::GrpcServer::Start(
                       GrpcOptions(options, server->metrics_),
                       {&server->scoring_service_, &server->model_service_}));
  return server;
}

RewardServer::~RewardServer() {
  scheduler_.Close();
  if (grpc_ != nullptr) grpc_->Shutdown(kCloseGrace);
}

void RewardServer::Drain(absl::Duration grace) {
  const absl::Duration end = clock_.MonotonicNow() + grace;
  grpc_->SetServing(false);
  // First: a client that has read Draining finds every new call refused.
  scheduler_.Drain();
  scoring_service_.Drain();
  scheduler_.AwaitIdle(grace);
  grpc_->Shutdown(std::max(end - clock_.MonotonicNow(), absl::ZeroDuration()));
  scheduler_.Close();
}

}  // namespace varalign::reward_server
