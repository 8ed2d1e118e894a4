// A rank's calls to the coordinator. The coordinator may restart at any time:
// every call is repeated with backoff until the grace is over, and every call
// may be repeated.
#ifndef VARALIGN_WORKER_COORDINATOR_CLIENT_H_
#define VARALIGN_WORKER_COORDINATOR_CLIENT_H_

#include <cstdint>
#include <filesystem>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "base/clock.h"
#include "rpc/backoff.h"
#include "rpc/call.h"
#include "varalign/v1/coordinator.grpc.pb.h"
#include "varalign/v1/coordinator.pb.h"
#include "worker/departure.h"

namespace varalign::worker {

// Thread safe. Every call blocks; it ends early when the rank leaves.
//
// Errors of every call:
//   Aborted      the generation is over; the rank leaves
//   Unavailable  no answer within the grace
//   others       as the coordinator says
class CoordinatorClient {
 public:
  struct Options {
    std::string target;  // HOST:PORT
    v1::RankIdentity identity;
    // How long a rank goes on without a coordinator.
    absl::Duration grace = absl::Seconds(60);
  };

  // Dials no one yet. `clock` and `departure` outlive the client.
  static absl::StatusOr<std::unique_ptr<CoordinatorClient>> Create(
      Options options, const base::Clock& clock, Departure& departure);

  absl::StatusOr<v1::Run> GetRun();
  // One hanging call, not repeated here.
  absl::StatusOr<v1::HeartbeatResponse> Heartbeat(grpc::ClientContext& context,
                                                  v1::RankHeartbeat heartbeat);
  absl::StatusOr<v1::LeaseStepsResponse> LeaseSteps(uint64_t begin,
                                                    uint64_t total_steps);
  absl::Status Report(v1::ReportStepRequest report);
  // Calls again while the answer is PENDING.
  absl::StatusOr<v1::CommitCheckpointResponse> CommitCheckpoint(
      v1::CommitCheckpointRequest request);
  // With constants: offers them. The value that won is returned; without
  // constants the call waits until another rank has fixed them.
  absl::StatusOr<v1::Constants> FixConstants(
      const std::optional<v1::Constants>& constants);
  absl::Status StoreSet(const std::string& key, const std::string& value);
  // One attempt: nullopt where the key was not set within the call's wait.
  absl::StatusOr<std::optional<std::string>> StoreGet(const std::string& key);
  // Writes a file of the run's data set to `target` and compares checksums.
  // DataLoss: they differ.
  absl::Status FetchShard(const std::string& file,
                          const std::filesystem::path& target);

  const v1::RankIdentity& identity() const { return options_.identity; }

 private:
  CoordinatorClient(Options options, const base::Clock& clock,
                    Departure& departure,
                    std::shared_ptr<grpc::Channel> channel);

  // Repeats `attempt` while its status says that the same call may succeed.
  template <typename Attempt>
  auto Repeat(Attempt&& attempt) -> decltype(attempt());
  template <typename Request, typename Response>
  absl::StatusOr<Response> CallWorkerService(
      rpc::UnaryMethod<v1::WorkerService::Stub, Request, Response> method,
      const Request& request);
  absl::Status FetchShardOnce(const std::string& file,
                              const std::filesystem::path& target);

  const Options options_;
  const base::Clock& clock_;
  Departure& departure_;
  const std::shared_ptr<grpc::Channel> channel_;
  const std::unique_ptr<v1::WorkerService::Stub> workers_;
  const std::unique_ptr<v1::RunService::Stub> runs_;
};

}  // namespace varalign::worker

#endif  // VARALIGN_WORKER_COORDINATOR_CLIENT_H_
