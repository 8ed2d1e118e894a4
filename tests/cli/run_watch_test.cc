// RunServiceClient::Watch over streams that break.
#include "cli/run_service_client.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <deque>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/synchronization/mutex.h"
#include "tests/testing/loopback_server.h"
#include "tests/testing/status_matchers.h"

namespace varalign::cli {
namespace {

using ::testing::ElementsAre;
using ::varalign::testing::StatusIs;

struct Stream {
  std::vector<v1::RunEvent> events;
  grpc::Status status;
};

// Answers each WatchRun with the next of `streams`. Thread safe.
class FakeRunService final : public v1::RunService::Service {
 public:
  explicit FakeRunService(std::deque<Stream> streams)
      : streams_(std::move(streams)), server_({this}) {}
  ~FakeRunService() override { server_.Stop(); }

  const std::string& address() const { return server_.address(); }
  // `after_event` of each call, in order.
  std::vector<uint64_t> calls() const {
    absl::MutexLock lock(&mutex_);
    return calls_;
  }

  grpc::Status WatchRun(grpc::ServerContext*,
                        const v1::WatchRunRequest* request,
                        grpc::ServerWriter<v1::RunEvent>* writer) override {
    absl::MutexLock lock(&mutex_);
    calls_.push_back(request->after_event());
    if (streams_.empty()) return {grpc::StatusCode::NOT_FOUND, "no more"};
    const Stream stream = std::move(streams_.front());
    streams_.pop_front();
    for (const v1::RunEvent& event : stream.events) writer->Write(event);
    return stream.status;
  }

 private:
  mutable absl::Mutex mutex_;
  std::deque<Stream> streams_ ABSL_GUARDED_BY(mutex_);
  std::vector<uint64_t> calls_ ABSL_GUARDED_BY(mutex_);

  testing::LoopbackServer server_;  // last: its threads use the above
};

v1::RunEvent Change(uint64_t number, v1::RunState to) {
  v1::RunEvent event;
  event.set_number(number);
  event.mutable_state()->set_to(to);
  return event;
}

const grpc::Status kLost(grpc::StatusCode::UNAVAILABLE, "lost");

struct Watched {
  absl::Status status;
  std::vector<v1::RunState> states;
};

Watched Watch(const FakeRunService& service) {
  Watched watched;
  const auto client = RunServiceClient::Create(service.address());
  EXPECT_OK(client);
  const absl::Notification never;
  watched.status =
      client->Watch("r", never, [&watched](const v1::RunEvent& event) {
        watched.states.push_back(event.state().to());
      });
  return watched;
}

TEST(RunWatchTest, TheEndOfAnEarlierAttemptDoesNotEndTheWatch) {
  FakeRunService service({{{Change(1, v1::RUNNING), Change(2, v1::FAILED),
                            Change(3, v1::QUEUED), Change(4, v1::RUNNING)},
                           kLost},
                          {{Change(5, v1::SUCCEEDED)}, grpc::Status::OK}});
  const Watched watched = Watch(service);
  EXPECT_OK(watched.status);
  EXPECT_THAT(watched.states, ElementsAre(v1::RUNNING, v1::FAILED, v1::QUEUED,
                                          v1::RUNNING, v1::SUCCEEDED));
  EXPECT_THAT(service.calls(), ElementsAre(0, 4));
}

// The stream breaks where only the end of the earlier attempt was seen.
TEST(RunWatchTest, OnlyTheCoordinatorKnowsWhichEndIsTheLast) {
  FakeRunService service(
      {{{Change(1, v1::FAILED)}, kLost},
       {{Change(2, v1::QUEUED), Change(3, v1::CANCELLED)}, grpc::Status::OK}});
  const Watched watched = Watch(service);
  EXPECT_OK(watched.status);
  EXPECT_THAT(watched.states,
              ElementsAre(v1::FAILED, v1::QUEUED, v1::CANCELLED));
}

TEST(RunWatchTest, AnErrorThatStaysEndsTheWatch) {
  FakeRunService service({{{Change(1, v1::RUNNING)}, kLost}});
  EXPECT_THAT(Watch(service).status, StatusIs(absl::StatusCode::kNotFound));
}

}  // namespace
}  // namespace varalign::cli
