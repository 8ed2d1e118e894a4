// The border between absl::Status and grpc::Status. Codes are the same, and
// messages are kept; payloads (exit codes) stay on their side.
#ifndef VARALIGN_RPC_STATUS_H_
#define VARALIGN_RPC_STATUS_H_

#include <utility>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "grpcpp/support/status.h"

namespace varalign::rpc {

// Messages travel in a header of limited size: what is longer than 2,000 bytes
// is cut there and says so. Bytes that are not UTF-8 become '?'.
grpc::Status ToGrpc(const absl::Status& status);

absl::Status FromGrpc(const grpc::Status& status);

// What a handler returns: `response` is `result`, or the call fails with its
// status.
template <typename Message>
grpc::Status Reply(absl::StatusOr<Message> result, Message& response) {
  if (!result.ok()) return ToGrpc(result.status());
  response = *std::move(result);
  return grpc::Status::OK;
}

// The same call may succeed later: Unavailable, DeadlineExceeded. Every method
// of ours may be repeated.
bool IsRetryable(const absl::Status& status);

// The same scoring may succeed later, here or at another server: retryable, or
// the server had no room (ResourceExhausted) or ended the call while it stopped
// (Cancelled).
bool MaySucceedLater(const absl::Status& status);

}  // namespace varalign::rpc

#endif  // VARALIGN_RPC_STATUS_H_
