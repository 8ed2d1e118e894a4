// gRPC's view of the coordinator for clients. Handlers decide nothing.
#ifndef VARALIGN_COORDINATOR_RUN_SERVICE_H_
#define VARALIGN_COORDINATOR_RUN_SERVICE_H_

#include <atomic>

#include "coordinator/event_files.h"
#include "coordinator/run_database.h"
#include "coordinator/run_registry.h"
#include "coordinator/submission.h"
#include "varalign/v1/coordinator.grpc.pb.h"

namespace varalign::coordinator {

// A blocking service: a call that waits holds a thread, which costs little for
// the hundreds of callers of a worker pool (docs/decisions). Thread safe.
class RunService final : public v1::RunService::Service {
 public:
  // The references outlive the service.
  RunService(const RunDatabase& database, RunRegistry& registry,
             Submissions& submissions, EventFiles& files)
      : database_(database),
        registry_(registry),
        submissions_(submissions),
        files_(files) {}

  grpc::Status SubmitRun(grpc::ServerContext* context,
                         const v1::SubmitRunRequest* request,
                         v1::Run* run) override;
  grpc::Status GetRun(grpc::ServerContext* context,
                      const v1::GetRunRequest* request, v1::Run* run) override;
  grpc::Status ListRuns(grpc::ServerContext* context,
                        const v1::ListRunsRequest* request,
                        v1::ListRunsResponse* response) override;
  grpc::Status WatchRun(grpc::ServerContext* context,
                        const v1::WatchRunRequest* request,
                        grpc::ServerWriter<v1::RunEvent>* writer) override;
  grpc::Status CancelRun(grpc::ServerContext* context,
                         const v1::CancelRunRequest* request,
                         v1::Run* run) override;

  // Streams end at their next look; for shutdown.
  void StopStreams() { stopping_ = true; }

 private:
  absl::Status Watch(grpc::ServerContext& context,
                     const v1::WatchRunRequest& request,
                     grpc::ServerWriter<v1::RunEvent>& writer);

  const RunDatabase& database_;
  RunRegistry& registry_;
  Submissions& submissions_;
  EventFiles& files_;
  std::atomic<bool> stopping_ = false;
  std::atomic<int> num_streams_ = 0;
};

}  // namespace varalign::coordinator

#endif  // VARALIGN_COORDINATOR_RUN_SERVICE_H_
