#include "coordinator/coordinator.h"

#include <map>
#include <system_error>
#include <utility>

#include "base/file.h"
#include "base/status_macros.h"
#include "coordinator/event_files.h"
#include "coordinator/metrics.h"
#include "coordinator/run_database.h"
#include "coordinator/run_registry.h"
#include "coordinator/run_service.h"
#include "coordinator/state_directory.h"
#include "coordinator/submission.h"
#include "coordinator/worker_service.h"
#include "rpc/grpc_server.h"
#include "telemetry/http_endpoint.h"

namespace varalign::coordinator {
namespace {

constexpr absl::Duration kShutdownGrace = absl::Seconds(2);

}  // namespace

// In the order in which one is built on the other.
struct Coordinator::Parts {
  Parts(StateDirectory locked_state, std::unique_ptr<RunDatabase> opened,
        StoredState stored, const std::map<v1::RunState, uint64_t>& counts,
        const std::filesystem::path& run_root,
        const CoordinatorOptions& options, const base::Clock& clock)
      : state(std::move(locked_state)),
        database(std::move(opened)),
        telemetry("coordinator"),
        metrics(telemetry, counts),
        files(*database),
        registry(options.rules, std::move(stored), *database, files, metrics,
                 clock),
        submissions(run_root, *database, registry),
        run_service(*database, registry, submissions, files),
        worker_service(registry) {}

  const StateDirectory state;
  const std::unique_ptr<RunDatabase> database;
  telemetry::Registry telemetry;
  Metrics metrics;
  EventFiles files;
  RunRegistry registry;
  Submissions submissions;
  RunService run_service;
  WorkerService worker_service;
  std::unique_ptr<telemetry::HttpEndpoint> endpoint;
  std::unique_ptr<rpc::GrpcServer> server;
};

absl::StatusOr<std::unique_ptr<Coordinator>> Coordinator::Start(
    const CoordinatorOptions& options, const base::Clock& clock) {
  std::filesystem::path run_root = options.run_root.empty()
                                       ? options.state_directory / "runs"
                                       : options.run_root;
  ASSIGN_OR_RETURN(StateDirectory state,
                   StateDirectory::Lock(options.state_directory));
  RETURN_IF_ERROR(base::CreateDirectories(run_root));
  std::error_code error;
  run_root = std::filesystem::canonical(run_root, error);
  if (error) return base::ErrnoStatus(error.value(), "resolve", run_root);
  ASSIGN_OR_RETURN(auto database, RunDatabase::Open(state.database()));
  ASSIGN_OR_RETURN(StoredState stored, database->Start());
  ASSIGN_OR_RETURN(const auto counts, database->CountByState());
  auto parts = std::make_unique<Parts>(std::move(state), std::move(database),
                                       std::move(stored), counts, run_root,
                                       options, clock);
  RunRegistry& registry = parts->registry;
  ASSIGN_OR_RETURN(
      parts->endpoint,
      telemetry::HttpEndpoint::Start(
          {.listen = options.metrics_listen, .exposure = options.exposure},
          parts->telemetry, [&registry] { return registry.health(); }));
  rpc::ServerOptions server;
  server.listen = options.listen;
  server.exposure = options.exposure;
  server.on_call = [&metrics = parts->metrics](const rpc::CallRecord& call) {
    metrics.ObserveCall(call);
  };
  ASSIGN_OR_RETURN(parts->server,
                   rpc::GrpcServer::Start(
                       server, {&parts->run_service, &parts->worker_service}));
  return std::unique_ptr<Coordinator>(new Coordinator(std::move(parts)));
}

Coordinator::Coordinator(std::unique_ptr<Parts> parts)
    : parts_(std::move(parts)) {}

Coordinator::~Coordinator() {
  // Calls that wait return, then those that run have some time.
  parts_->run_service.StopStreams();
  parts_->registry.StopWaiting();
  parts_->server->Shutdown(kShutdownGrace);
}

const std::string& Coordinator::address() const {
  return parts_->server->address();
}

const std::string& Coordinator::metrics_address() const {
  return parts_->endpoint->address();
}

absl::Status Coordinator::health() const { return parts_->registry.health(); }

}  // namespace varalign::coordinator
