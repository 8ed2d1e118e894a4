#include "worker/coordinator_client.h"

#include <algorithm>

#include "absl/strings/str_cat.h"
#include "base/digest.h"
#include "base/file.h"
#include "base/status_macros.h"
#include "rpc/channel.h"
#include "rpc/status.h"

namespace varalign::worker {
namespace {

// Longer than the coordinator holds a call that waits for something.
constexpr absl::Duration kCallTimeout = absl::Seconds(30);
constexpr absl::Duration kFetchTimeout = absl::Minutes(10);

}  // namespace

absl::StatusOr<std::unique_ptr<CoordinatorClient>> CoordinatorClient::Create(
    Options options, const base::Clock& clock, Departure& departure) {
  ASSIGN_OR_RETURN(auto channel, rpc::MakeChannel(options.target));
  return std::unique_ptr<CoordinatorClient>(new CoordinatorClient(
      std::move(options), clock, departure, std::move(channel)));
}

CoordinatorClient::CoordinatorClient(Options options, const base::Clock& clock,
                                     Departure& departure,
                                     std::shared_ptr<grpc::Channel> channel)
    : options_(std::move(options)),
      clock_(clock),
      departure_(departure),
      channel_(std::move(channel)),
      workers_(v1::WorkerService::NewStub(channel_)),
      runs_(v1::RunService::NewStub(channel_)) {}

template <typename Attempt>
auto CoordinatorClient::Repeat(Attempt&& attempt) -> decltype(attempt()) {
  const auto status_of = [](const auto& result) -> absl::Status {
    if constexpr (std::is_same_v<std::decay_t<decltype(result)>,
                                 absl::Status>) {
      return result;
    } else {
      return result.status();
    }
  };
  rpc::Retrier retrier({.max = absl::Seconds(2), .budget = options_.grace},
                       options_.identity.rank());
  while (true) {
    RETURN_IF_ERROR(departure_.status());
    auto result = attempt();
    const absl::Status status = status_of(result);
    if (absl::IsAborted(status)) departure_.Leave(status);
    if (status.ok() || !rpc::IsRetryable(status)) return result;
    const auto delay = retrier.NextDelay(clock_.MonotonicNow());
    if (!delay.has_value()) {
      return absl::UnavailableError(
          absl::StrCat("coordinator does not answer for ",
                       absl::FormatDuration(options_.grace), ": ",
                       options_.target, ": ", status.message()));
    }
    departure_.WaitFor(*delay);
  }
}

template <typename Request, typename Response>
absl::StatusOr<Response> CoordinatorClient::CallWorkerService(
    rpc::UnaryMethod<v1::WorkerService::Stub, Request, Response> method,
    const Request& request) {
  return Repeat([&]() -> absl::StatusOr<Response> {
    return rpc::Call(*workers_, method, request, kCallTimeout);
  });
}

absl::StatusOr<v1::Run> CoordinatorClient::GetRun() {
  v1::GetRunRequest request;
  request.set_run_id(options_.identity.run_id());
  return Repeat([&]() -> absl::StatusOr<v1::Run> {
    return rpc::Call(*runs_, &v1::RunService::Stub::GetRun, request,
                     kCallTimeout);
  });
}

absl::StatusOr<v1::HeartbeatResponse> CoordinatorClient::Heartbeat(
    grpc::ClientContext& context, v1::RankHeartbeat heartbeat) {
  v1::HeartbeatRequest request;
  *request.mutable_rank() = std::move(heartbeat);
  *request.mutable_rank()->mutable_identity() = options_.identity;
  rpc::SetDeadline(context, kCallTimeout);
  return rpc::Call(context, *workers_, &v1::WorkerService::Stub::Heartbeat,
                   request);
}

absl::StatusOr<v1::LeaseStepsResponse> CoordinatorClient::LeaseSteps(
    uint64_t begin, uint64_t total_steps) {
  v1::LeaseStepsRequest request;
  *request.mutable_identity() = options_.identity;
  request.set_begin(begin);
  request.set_total_steps(total_steps);
  return CallWorkerService(&v1::WorkerService::Stub::LeaseSteps, request);
}

absl::Status CoordinatorClient::Report(v1::ReportStepRequest report) {
  *report.mutable_identity() = options_.identity;
  return CallWorkerService(&v1::WorkerService::Stub::ReportStep, report)
      .status();
}

absl::StatusOr<v1::CommitCheckpointResponse>
CoordinatorClient::CommitCheckpoint(v1::CommitCheckpointRequest request) {
  *request.mutable_identity() = options_.identity;
  while (true) {
    ASSIGN_OR_RETURN(
        v1::CommitCheckpointResponse response,
        CallWorkerService(&v1::WorkerService::Stub::CommitCheckpoint, request));
    if (response.outcome() != v1::CommitCheckpointResponse::PENDING) {
      return response;
    }
  }
}

absl::StatusOr<v1::Constants> CoordinatorClient::FixConstants(
    const std::optional<v1::Constants>& constants) {
  v1::FixConstantsRequest request;
  *request.mutable_identity() = options_.identity;
  if (constants.has_value()) *request.mutable_constants() = *constants;
  while (true) {
    ASSIGN_OR_RETURN(
        const v1::FixConstantsResponse response,
        CallWorkerService(&v1::WorkerService::Stub::FixConstants, request));
    if (response.has_constants()) return response.constants();
  }
}

absl::Status CoordinatorClient::StoreSet(const std::string& key,
                                         const std::string& value) {
  v1::StoreSetRequest request;
  *request.mutable_identity() = options_.identity;
  request.set_key(key);
  request.set_value(value);
  return CallWorkerService(&v1::WorkerService::Stub::StoreSet, request)
      .status();
}

absl::StatusOr<std::optional<std::string>> CoordinatorClient::StoreGet(
    const std::string& key) {
  v1::StoreGetRequest request;
  *request.mutable_identity() = options_.identity;
  request.set_key(key);
  ASSIGN_OR_RETURN(
      const v1::StoreGetResponse response,
      CallWorkerService(&v1::WorkerService::Stub::StoreGet, request));
  if (!response.has_value()) return std::nullopt;
  return response.value();
}

absl::Status CoordinatorClient::FetchShard(
    const std::string& file, const std::filesystem::path& target) {
  return Repeat([&] { return FetchShardOnce(file, target); });
}

absl::Status CoordinatorClient::FetchShardOnce(
    const std::string& file, const std::filesystem::path& target) {
  v1::FetchShardRequest request;
  *request.mutable_identity() = options_.identity;
  request.set_file(file);
  grpc::ClientContext context;
  rpc::SetDeadline(context, kFetchTimeout);
  const auto reader = workers_->FetchShard(&context, request);
  ASSIGN_OR_RETURN(base::FileWriter writer, base::FileWriter::Create(target));
  base::Xxh3Stream digest;
  std::string expected;
  absl::Status written;
  v1::ShardChunk chunk;
  while (written.ok() && reader->Read(&chunk)) {
    digest.Update(chunk.data());
    written = writer.Append(chunk.data());
    if (!chunk.xxh3_128().empty()) expected = chunk.xxh3_128();
  }
  if (!written.ok()) context.TryCancel();
  const absl::Status finished = rpc::FromGrpc(reader->Finish());
  RETURN_IF_ERROR(written);
  RETURN_IF_ERROR(finished);
  if (digest.Finish() != expected) {
    return absl::DataLossError(
        absl::StrCat("data set file was damaged on its way: ", file));
  }
  return writer.Commit();
}

}  // namespace varalign::worker
