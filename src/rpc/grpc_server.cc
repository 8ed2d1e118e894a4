#include "rpc/grpc_server.h"

#include <cstdio>
#include <utility>

#include "absl/strings/str_cat.h"
#include "base/address_file.h"
#include "base/listen_error.h"
#include "base/logging.h"
#include "base/status_macros.h"
#include "base/string_view.h"
#include "grpc/support/log.h"
#include "grpc/support/time.h"
#include "grpcpp/health_check_service_interface.h"
#include "grpcpp/resource_quota.h"
#include "grpcpp/security/server_credentials.h"
#include "grpcpp/server_builder.h"
#include "rpc/call_observer.h"

namespace varalign::rpc {
namespace {

// All that gRPC reports and that matters comes back as a status as well.
void LogAsDebug(gpr_log_func_args* args) {
  base::LogDebug("grpc", {{"message", args->message}});
}

int Milliseconds(absl::Duration duration) {
  return static_cast<int>(absl::ToInt64Milliseconds(duration));
}

void ApplyLimits(const ServerOptions& options, grpc::ServerBuilder& builder) {
  const int max_message = static_cast<int>(options.max_message_bytes);
  builder.SetMaxReceiveMessageSize(max_message);
  builder.SetMaxSendMessageSize(max_message);
  builder.AddChannelArgument(GRPC_ARG_MAX_CONCURRENT_STREAMS,
                             options.max_concurrent_streams);
  builder.SetResourceQuota(
      grpc::ResourceQuota().Resize(options.memory_quota_bytes));
}

void ApplyKeepalive(grpc::ServerBuilder& builder) {
  builder.AddChannelArgument(GRPC_ARG_KEEPALIVE_TIME_MS,
                             Milliseconds(kServerKeepalive.time));
  builder.AddChannelArgument(GRPC_ARG_KEEPALIVE_TIMEOUT_MS,
                             Milliseconds(kServerKeepalive.timeout));
  // A call may end between a client's decision to ping and the ping.
  builder.AddChannelArgument(GRPC_ARG_KEEPALIVE_PERMIT_WITHOUT_CALLS, 1);
  builder.AddChannelArgument(GRPC_ARG_HTTP2_MAX_PINGS_WITHOUT_DATA, 0);
  builder.AddChannelArgument(
      GRPC_ARG_HTTP2_MIN_RECV_PING_INTERVAL_WITHOUT_DATA_MS,
      Milliseconds(kMinPingInterval));
}

void ObserveCalls(const ServerOptions& options, grpc::ServerBuilder& builder) {
  if (!options.on_call) return;
  std::vector<
      std::unique_ptr<grpc::experimental::ServerInterceptorFactoryInterface>>
      interceptors;
  interceptors.push_back(MakeCallObserver(options.on_call));
  builder.experimental().SetInterceptorCreators(std::move(interceptors));
}

}  // namespace

absl::StatusOr<std::unique_ptr<GrpcServer>> GrpcServer::Start(
    const ServerOptions& options, const std::vector<grpc::Service*>& services) {
  ASSIGN_OR_RETURN(base::HostPort address, base::ParseHostPort(options.listen));
  RETURN_IF_ERROR(base::CheckExposure(address, options.exposure));

  grpc::EnableDefaultHealthCheckService(true);
  gpr_set_log_function(LogAsDebug);
  grpc::ServerBuilder builder;
  ApplyLimits(options, builder);
  ApplyKeepalive(builder);
  ObserveCalls(options, builder);
  // Else two servers share a port silently, each with half of the calls.
  builder.AddChannelArgument(GRPC_ARG_ALLOW_REUSEPORT, 0);
  int selected_port = 0;
  builder.AddListeningPort(address.ToString(),
                           grpc::InsecureServerCredentials(), &selected_port);
  for (grpc::Service* service : services) builder.RegisterService(service);

  std::unique_ptr<grpc::Server> server = builder.BuildAndStart();
  if (server == nullptr || selected_port <= 0)
    return base::ListenError(address);
  address.port = static_cast<uint16_t>(selected_port);
  return std::unique_ptr<GrpcServer>(
      new GrpcServer(address.ToString(), std::move(server)));
}

GrpcServer::GrpcServer(std::string address,
                       std::unique_ptr<grpc::Server> server)
    : address_(std::move(address)), server_(std::move(server)) {}

GrpcServer::~GrpcServer() { Shutdown(absl::ZeroDuration()); }

void GrpcServer::SetServing(bool serving) {
  server_->GetHealthCheckService()->SetServingStatus(serving);
}

void GrpcServer::Shutdown(absl::Duration grace) {
  SetServing(false);
  server_->Shutdown(gpr_time_add(
      gpr_now(GPR_CLOCK_MONOTONIC),
      gpr_time_from_millis(absl::ToInt64Milliseconds(grace), GPR_TIMESPAN)));
}

absl::Status AnnounceAddress(std::string_view address,
                             const std::filesystem::path& address_file) {
  const std::string line =
      absl::StrCat("listening on ", base::ToAbsl(address), "\n");
  if (std::fputs(line.c_str(), stdout) < 0 || std::fflush(stdout) != 0) {
    return absl::UnavailableError("cannot write to standard output");
  }
  return base::WriteAddressFile(address_file, address);
}

}  // namespace varalign::rpc
