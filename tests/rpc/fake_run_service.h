// A RunService whose GetRun answers as a test says.
#ifndef VARALIGN_TESTS_RPC_FAKE_RUN_SERVICE_H_
#define VARALIGN_TESTS_RPC_FAKE_RUN_SERVICE_H_

#include <atomic>
#include <functional>
#include <utility>

#include "absl/synchronization/mutex.h"
#include "absl/time/time.h"
#include "grpcpp/server_context.h"
#include "varalign/v1/coordinator.grpc.pb.h"

namespace varalign::rpc {

class FakeRunService final : public v1::RunService::Service {
 public:
  using Answer = std::function<grpc::Status(
      grpc::ServerContext&, const v1::GetRunRequest&, v1::Run&)>;

  FakeRunService() : FakeRunService(Echo) {}
  explicit FakeRunService(Answer answer) : answer_(std::move(answer)) {}

  static grpc::Status Echo(grpc::ServerContext&,
                           const v1::GetRunRequest& request, v1::Run& run) {
    run.set_run_id(request.run_id());
    return grpc::Status::OK;
  }

  // Returns once the client or the server gives the call up.
  static grpc::Status Hang(grpc::ServerContext& context,
                           const v1::GetRunRequest&, v1::Run&) {
    absl::Mutex mutex;
    absl::MutexLock lock(&mutex);
    const auto cancelled = [&context] { return context.IsCancelled(); };
    while (!mutex.AwaitWithTimeout(absl::Condition(&cancelled),
                                   absl::Milliseconds(5))) {
    }
    return grpc::Status(grpc::StatusCode::CANCELLED, "given up");
  }

  grpc::Status GetRun(grpc::ServerContext* context,
                      const v1::GetRunRequest* request, v1::Run* run) override {
    ++calls;
    return answer_(*context, *request, *run);
  }

  std::atomic<int> calls = 0;

 private:
  const Answer answer_;
};

}  // namespace varalign::rpc

#endif  // VARALIGN_TESTS_RPC_FAKE_RUN_SERVICE_H_
