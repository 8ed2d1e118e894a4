#include "rpc/call_observer.h"

#include <chrono>
#include <utility>

#include "absl/time/time.h"

namespace varalign::rpc {
namespace {

using grpc::experimental::InterceptionHookPoints;
using grpc::experimental::Interceptor;
using grpc::experimental::InterceptorBatchMethods;
using grpc::experimental::ServerInterceptorFactoryInterface;
using grpc::experimental::ServerRpcInfo;
using SteadyClock = std::chrono::steady_clock;

class CallObserver final : public Interceptor {
 public:
  CallObserver(const std::function<void(const CallRecord&)>& on_call,
               const ServerRpcInfo& call)
      : on_call_(on_call), call_(call) {}

  void Intercept(InterceptorBatchMethods* methods) override {
    if (methods->QueryInterceptionHookPoint(
            InterceptionHookPoints::PRE_SEND_STATUS)) {
      on_call_({.method = call_.method(),
                .code = static_cast<absl::StatusCode>(
                    methods->GetSendStatus().error_code()),
                .duration = absl::FromChrono(SteadyClock::now() - start_)});
    }
    methods->Proceed();
  }

 private:
  const std::function<void(const CallRecord&)>& on_call_;
  const ServerRpcInfo& call_;
  const SteadyClock::time_point start_ = SteadyClock::now();
};

class CallObserverFactory final : public ServerInterceptorFactoryInterface {
 public:
  explicit CallObserverFactory(std::function<void(const CallRecord&)> on_call)
      : on_call_(std::move(on_call)) {}

  // gRPC owns the result and destroys it with the call.
  Interceptor* CreateServerInterceptor(ServerRpcInfo* call) override {
    return new CallObserver(on_call_, *call);
  }

 private:
  const std::function<void(const CallRecord&)> on_call_;
};

}  // namespace

std::unique_ptr<ServerInterceptorFactoryInterface> MakeCallObserver(
    std::function<void(const CallRecord&)> on_call) {
  return std::make_unique<CallObserverFactory>(std::move(on_call));
}

}  // namespace varalign::rpc
