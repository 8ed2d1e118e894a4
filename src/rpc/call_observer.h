// Reports every finished call of a server, for metrics.
#ifndef VARALIGN_RPC_CALL_OBSERVER_H_
#define VARALIGN_RPC_CALL_OBSERVER_H_

#include <functional>
#include <memory>

#include "grpcpp/support/server_interceptor.h"
#include "rpc/grpc_server.h"

namespace varalign::rpc {

// An interceptor that calls `on_call` when a handler's status is sent. A call
// whose client has gone before is not reported.
std::unique_ptr<grpc::experimental::ServerInterceptorFactoryInterface>
MakeCallObserver(std::function<void(const CallRecord&)> on_call);

}  // namespace varalign::rpc

#endif  // VARALIGN_RPC_CALL_OBSERVER_H_
