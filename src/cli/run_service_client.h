// The client's view of a coordinator: runs are submitted, listed, watched and
// cancelled.
#ifndef VARALIGN_CLI_RUN_SERVICE_CLIENT_H_
#define VARALIGN_CLI_RUN_SERVICE_CLIENT_H_

#include <cstdint>
#include <functional>
#include <memory>
#include <string>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/synchronization/notification.h"
#include "varalign/v1/coordinator.grpc.pb.h"

namespace varalign::cli {

bool HasEnded(v1::RunState state);

// Of a run that has ended: Ok, or why it ended, with the run's exit code.
absl::Status HowItEnded(const v1::Run& run);

// Thread safe. Calls block for 30 s at most; Watch for as long as the run.
class RunServiceClient {
 public:
  // Dials no one yet. InvalidArgument if `target` is not HOST:PORT.
  static absl::StatusOr<RunServiceClient> Create(const std::string& target);

  // Errors are those of coordinator.proto; Unavailable names the target, where
  // nobody answers or somebody who is no coordinator.
  absl::StatusOr<v1::Run> Submit(const v1::SubmitRunRequest& request) const;
  absl::StatusOr<v1::Run> Get(const std::string& run_id) const;
  // Page by page, from `request`'s on, up to `limit` runs; there are more where
  // the answer has a page token.
  absl::StatusOr<v1::ListRunsResponse> List(v1::ListRunsRequest request,
                                            uint32_t limit) const;
  absl::StatusOr<v1::Run> Cancel(const std::string& run_id) const;

  // Calls `on_event` for every event of the run in order, each once, and
  // returns after the event that ends the run. A lost stream is opened again
  // after the last event seen; Unavailable when that has failed for a minute.
  // Cancelled, soon after the stream is lost, once `give_up` is notified.
  absl::Status Watch(
      const std::string& run_id, const absl::Notification& give_up,
      const std::function<void(const v1::RunEvent&)>& on_event) const;

 private:
  RunServiceClient(std::string target,
                   std::unique_ptr<v1::RunService::Stub> stub);
  absl::Status Explain(const absl::Status& status) const;

  std::string target_;
  std::unique_ptr<v1::RunService::Stub> stub_;
};

}  // namespace varalign::cli

#endif  // VARALIGN_CLI_RUN_SERVICE_CLIENT_H_
