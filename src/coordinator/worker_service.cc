#include "coordinator/worker_service.h"

#include <algorithm>
#include <chrono>
#include <utility>

#include "base/status_macros.h"
#include "coordinator/shard_file.h"
#include "rpc/status.h"

namespace varalign::coordinator {
namespace {

constexpr absl::Duration kWait = absl::Seconds(5);
// Left of the caller's deadline for the reply to travel.
constexpr absl::Duration kMargin = absl::Milliseconds(200);

// Ends before the caller's deadline: "call again" is better than an outcome
// that nobody knows.
CallWait WaitOf(grpc::ServerContext& context) {
  const auto left = context.deadline() - std::chrono::system_clock::now();
  const absl::Duration most = absl::FromChrono(
      std::min(std::chrono::nanoseconds(left),
               std::chrono::nanoseconds(std::chrono::hours(1))));
  return {.limit = std::clamp(most - kMargin, absl::ZeroDuration(), kWait),
          .caller_is_gone = [&context] { return context.IsCancelled(); }};
}

absl::Status Fetch(const v1::Run& run, const std::string& file,
                   grpc::ServerWriter<v1::ShardChunk>& writer) {
  ASSIGN_OR_RETURN(const auto path, FindShardFile(run.config(), file));
  v1::ShardChunk chunk;
  ASSIGN_OR_RETURN(const std::string digest,
                   ReadInChunks(path, [&](std::string_view bytes) {
                     chunk.set_data(bytes.data(), bytes.size());
                     return writer.Write(chunk);
                   }));
  v1::ShardChunk last;
  last.set_xxh3_128(digest);
  return writer.Write(last) ? absl::OkStatus()
                            : absl::CancelledError("the reader is gone");
}

}  // namespace

grpc::Status WorkerService::Register(grpc::ServerContext*,
                                     const v1::RegisterRequest* request,
                                     v1::RegisterResponse* response) {
  return rpc::Reply(registry_.Register(*request), *response);
}

grpc::Status WorkerService::Heartbeat(grpc::ServerContext* context,
                                      const v1::HeartbeatRequest* request,
                                      v1::HeartbeatResponse* response) {
  return rpc::Reply(registry_.Heartbeat(*request, WaitOf(*context)), *response);
}

grpc::Status WorkerService::LeaseSteps(grpc::ServerContext*,
                                       const v1::LeaseStepsRequest* request,
                                       v1::LeaseStepsResponse* response) {
  return rpc::Reply(registry_.LeaseSteps(*request), *response);
}

grpc::Status WorkerService::ReportStep(grpc::ServerContext*,
                                       const v1::ReportStepRequest* request,
                                       v1::ReportStepResponse*) {
  return rpc::ToGrpc(registry_.Report(*request));
}

grpc::Status WorkerService::CommitCheckpoint(
    grpc::ServerContext* context, const v1::CommitCheckpointRequest* request,
    v1::CommitCheckpointResponse* response) {
  return rpc::Reply(registry_.CommitCheckpoint(*request, WaitOf(*context)),
                    *response);
}

grpc::Status WorkerService::FixConstants(grpc::ServerContext* context,
                                         const v1::FixConstantsRequest* request,
                                         v1::FixConstantsResponse* response) {
  return rpc::Reply(registry_.FixConstants(*request, WaitOf(*context)),
                    *response);
}

grpc::Status WorkerService::StoreSet(grpc::ServerContext*,
                                     const v1::StoreSetRequest* request,
                                     v1::StoreSetResponse*) {
  return rpc::ToGrpc(registry_.StoreSet(*request));
}

grpc::Status WorkerService::StoreGet(grpc::ServerContext* context,
                                     const v1::StoreGetRequest* request,
                                     v1::StoreGetResponse* response) {
  return rpc::Reply(registry_.StoreGet(*request, WaitOf(*context)), *response);
}

grpc::Status WorkerService::FetchShard(
    grpc::ServerContext*, const v1::FetchShardRequest* request,
    grpc::ServerWriter<v1::ShardChunk>* writer) {
  const absl::StatusOr<v1::Run> run = registry_.RunOf(request->identity());
  if (!run.ok()) return rpc::ToGrpc(run.status());
  return rpc::ToGrpc(Fetch(*run, request->file(), *writer));
}

}  // namespace varalign::coordinator
