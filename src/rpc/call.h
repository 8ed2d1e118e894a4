// Unary calls with a deadline:
//
//   ASSIGN_OR_RETURN(const v1::Run run,
//                    Call(*stub, &v1::RunService::Stub::GetRun, request,
//                         absl::Seconds(5)));
#ifndef VARALIGN_RPC_CALL_H_
#define VARALIGN_RPC_CALL_H_

#include <type_traits>

#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "grpcpp/client_context.h"
#include "rpc/status.h"

namespace varalign::rpc {

// Every call has a deadline, streams too. `timeout` is finite.
void SetDeadline(grpc::ClientContext& context, absl::Duration timeout);

template <typename Stub, typename Request, typename Response>
using UnaryMethod = grpc::Status (Stub::*)(grpc::ClientContext*, const Request&,
                                           Response*);

// With a context of the caller's, who sets its deadline and may cancel it from
// another thread. Blocks until the reply, the deadline or the cancellation.
template <typename Stub, typename Request, typename Response>
absl::StatusOr<Response> Call(grpc::ClientContext& context,
                              std::type_identity_t<Stub>& stub,
                              UnaryMethod<Stub, Request, Response> method,
                              const std::type_identity_t<Request>& request) {
  Response response;
  const grpc::Status status = (stub.*method)(&context, request, &response);
  if (!status.ok()) return FromGrpc(status);
  return response;
}

// Blocks for `timeout` at most. DeadlineExceeded: the outcome is unknown.
template <typename Stub, typename Request, typename Response>
absl::StatusOr<Response> Call(std::type_identity_t<Stub>& stub,
                              UnaryMethod<Stub, Request, Response> method,
                              const std::type_identity_t<Request>& request,
                              absl::Duration timeout) {
  grpc::ClientContext context;
  SetDeadline(context, timeout);
  return Call<Stub, Request, Response>(context, stub, method, request);
}

}  // namespace varalign::rpc

#endif  // VARALIGN_RPC_CALL_H_
