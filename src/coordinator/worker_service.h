// gRPC's view of the coordinator for workers. Handlers decide nothing.
#ifndef VARALIGN_COORDINATOR_WORKER_SERVICE_H_
#define VARALIGN_COORDINATOR_WORKER_SERVICE_H_

#include "coordinator/run_registry.h"
#include "varalign/v1/coordinator.grpc.pb.h"

namespace varalign::coordinator {

// A blocking service, as RunService. Calls that wait for other ranks are
// answered after five seconds at the latest. Thread safe.
class WorkerService final : public v1::WorkerService::Service {
 public:
  // `registry` outlives the service.
  explicit WorkerService(RunRegistry& registry) : registry_(registry) {}

  grpc::Status Register(grpc::ServerContext* context,
                        const v1::RegisterRequest* request,
                        v1::RegisterResponse* response) override;
  grpc::Status Heartbeat(grpc::ServerContext* context,
                         const v1::HeartbeatRequest* request,
                         v1::HeartbeatResponse* response) override;
  grpc::Status LeaseSteps(grpc::ServerContext* context,
                          const v1::LeaseStepsRequest* request,
                          v1::LeaseStepsResponse* response) override;
  grpc::Status ReportStep(grpc::ServerContext* context,
                          const v1::ReportStepRequest* request,
                          v1::ReportStepResponse* response) override;
  grpc::Status CommitCheckpoint(
      grpc::ServerContext* context, const v1::CommitCheckpointRequest* request,
      v1::CommitCheckpointResponse* response) override;
  grpc::Status FixConstants(grpc::ServerContext* context,
                            const v1::FixConstantsRequest* request,
                            v1::FixConstantsResponse* response) override;
  grpc::Status StoreSet(grpc::ServerContext* context,
                        const v1::StoreSetRequest* request,
                        v1::StoreSetResponse* response) override;
  grpc::Status StoreGet(grpc::ServerContext* context,
                        const v1::StoreGetRequest* request,
                        v1::StoreGetResponse* response) override;
  grpc::Status FetchShard(grpc::ServerContext* context,
                          const v1::FetchShardRequest* request,
                          grpc::ServerWriter<v1::ShardChunk>* writer) override;

 private:
  RunRegistry& registry_;
};

}  // namespace varalign::coordinator

#endif  // VARALIGN_COORDINATOR_WORKER_SERVICE_H_
