// A coordinator that says what a test tells it to, and remembers what it heard.
#ifndef VARALIGN_TESTS_WORKER_FAKE_COORDINATOR_H_
#define VARALIGN_TESTS_WORKER_FAKE_COORDINATOR_H_

#include <deque>
#include <functional>
#include <optional>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/synchronization/mutex.h"
#include "absl/time/time.h"
#include "tests/testing/loopback_server.h"
#include "varalign/v1/coordinator.grpc.pb.h"

namespace varalign::worker {

// Thread safe. Heartbeats hang for 50 ms unless a directive waits.
class FakeCoordinator final : public v1::WorkerService::Service {
 public:
  using Commit = std::function<v1::CommitCheckpointResponse(
      const v1::CommitCheckpointRequest&)>;

  FakeCoordinator() : server_({this}) {}
  ~FakeCoordinator() override { server_.Stop(); }

  const std::string& address() const { return server_.address(); }

  // The answer to the next heartbeat; they are given in order.
  void Direct(const v1::HeartbeatResponse& directive) {
    absl::MutexLock lock(&mutex_);
    directives_.push_back(directive);
  }
  void Refuse(const grpc::Status& registration) {
    absl::MutexLock lock(&mutex_);
    refusal_ = registration;
  }
  void OnCommit(Commit commit) {
    absl::MutexLock lock(&mutex_);
    commit_ = std::move(commit);
  }

  std::vector<v1::RegisterRequest> registrations() const {
    absl::MutexLock lock(&mutex_);
    return registrations_;
  }
  std::vector<v1::SlotHeartbeat> heartbeats() const {
    absl::MutexLock lock(&mutex_);
    return heartbeats_;
  }
  // The first heartbeat that `wanted` holds for; nullopt after a minute.
  std::optional<v1::SlotHeartbeat> AwaitHeartbeat(
      const std::function<bool(const v1::SlotHeartbeat&)>& wanted) {
    absl::MutexLock lock(&mutex_);
    std::optional<v1::SlotHeartbeat> found;
    size_t seen = 0;
    const auto is_there = [&]() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_) {
      for (; seen < heartbeats_.size() && !found.has_value(); ++seen) {
        if (wanted(heartbeats_[seen])) found = heartbeats_[seen];
      }
      return found.has_value();
    };
    mutex_.AwaitWithTimeout(absl::Condition(&is_there), absl::Minutes(1));
    return found;
  }

  grpc::Status Register(grpc::ServerContext*,
                        const v1::RegisterRequest* request,
                        v1::RegisterResponse* response) override {
    absl::MutexLock lock(&mutex_);
    registrations_.push_back(*request);
    response->set_incarnation(1);
    return refusal_;
  }

  grpc::Status Heartbeat(grpc::ServerContext* context,
                         const v1::HeartbeatRequest* request,
                         v1::HeartbeatResponse* response) override {
    absl::MutexLock lock(&mutex_);
    heartbeats_.push_back(request->slot());
    const auto has_news = [this]() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_) {
      return !directives_.empty();
    };
    // A slot that has news cancels its call: nobody would hear.
    if (mutex_.AwaitWithTimeout(absl::Condition(&has_news),
                                absl::Milliseconds(50)) &&
        !context->IsCancelled()) {
      *response = directives_.front();
      directives_.pop_front();
    }
    return grpc::Status::OK;
  }

  grpc::Status CommitCheckpoint(
      grpc::ServerContext*, const v1::CommitCheckpointRequest* request,
      v1::CommitCheckpointResponse* response) override {
    absl::MutexLock lock(&mutex_);
    *response = commit_(*request);
    return grpc::Status::OK;
  }

 private:
  mutable absl::Mutex mutex_;
  std::deque<v1::HeartbeatResponse> directives_ ABSL_GUARDED_BY(mutex_);
  std::vector<v1::SlotHeartbeat> heartbeats_ ABSL_GUARDED_BY(mutex_);
  std::vector<v1::RegisterRequest> registrations_ ABSL_GUARDED_BY(mutex_);
  grpc::Status refusal_ ABSL_GUARDED_BY(mutex_);
  Commit commit_ ABSL_GUARDED_BY(mutex_);

  testing::LoopbackServer server_;  // last: its threads use the above
};

}  // namespace varalign::worker

#endif  // VARALIGN_TESTS_WORKER_FAKE_COORDINATOR_H_
