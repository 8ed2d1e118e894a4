#include "rpc/channel.h"

#include <stdlib.h>

#include <memory>
#include <string>
#include <thread>

#include "absl/synchronization/notification.h"
#include "absl/time/clock.h"
#include "base/host_port.h"
#include "gtest/gtest.h"
#include "rpc/call.h"
#include "rpc/grpc_server.h"
#include "tests/rpc/fake_run_service.h"
#include "tests/rpc/frozen_proxy.h"

namespace varalign::rpc {
namespace {

class ChannelTest : public ::testing::Test {
 protected:
  std::unique_ptr<GrpcServer> Serve(FakeRunService& service,
                                    const std::string& listen = "127.0.0.1:0") {
    auto server = GrpcServer::Start({.listen = listen}, {&service});
    EXPECT_TRUE(server.ok()) << server.status();
    return *std::move(server);
  }

  void Connect(const std::string& address, const ChannelOptions& options = {}) {
    auto channel = MakeChannel(address, options);
    ASSERT_TRUE(channel.ok()) << channel.status();
    stub_ = v1::RunService::NewStub(*channel);
  }

  absl::Status GetRun(absl::Duration timeout = absl::Seconds(20)) {
    return Call(*stub_, &v1::RunService::Stub::GetRun, v1::GetRunRequest(),
                timeout)
        .status();
  }

  std::unique_ptr<v1::RunService::Stub> stub_;
};

FakeRunService::Answer AnswerWith(grpc::StatusCode code) {
  return [code](grpc::ServerContext&, const v1::GetRunRequest&, v1::Run&) {
    return grpc::Status(code, "as the test says");
  };
}

TEST_F(ChannelTest, RepeatsACallUntilTheServerIsAvailable) {
  std::atomic<int> refusals = 2;
  FakeRunService service([&](grpc::ServerContext& context,
                             const v1::GetRunRequest& request, v1::Run& run) {
    if (refusals-- > 0) {
      return grpc::Status(grpc::StatusCode::UNAVAILABLE, "starting");
    }
    return FakeRunService::Echo(context, request, run);
  });
  const auto server = Serve(service);
  Connect(server->address());
  EXPECT_TRUE(GetRun().ok());
  EXPECT_EQ(service.calls, 3);
}

TEST_F(ChannelTest, GivesUpAfterFourAttempts) {
  FakeRunService service(AnswerWith(grpc::StatusCode::UNAVAILABLE));
  const auto server = Serve(service);
  Connect(server->address());
  EXPECT_EQ(GetRun().code(), absl::StatusCode::kUnavailable);
  EXPECT_EQ(service.calls, 4);
}

TEST_F(ChannelTest, RepeatsNothingButUnavailable) {
  FakeRunService service(AnswerWith(grpc::StatusCode::ABORTED));
  const auto server = Serve(service);
  Connect(server->address());
  EXPECT_EQ(GetRun(), absl::AbortedError("as the test says"));
  EXPECT_EQ(service.calls, 1);
}

TEST_F(ChannelTest, FindsARestartedServer) {
  FakeRunService service;
  auto server = Serve(service);
  const std::string address = server->address();
  Connect(address);
  EXPECT_TRUE(GetRun().ok());
  server.reset();
  EXPECT_EQ(GetRun().code(), absl::StatusCode::kUnavailable);
  server = Serve(service, address);
  absl::Status status = GetRun();
  const absl::Time start = absl::Now();
  while (!status.ok() && absl::Now() - start < absl::Seconds(10)) {
    status = GetRun();
  }
  EXPECT_TRUE(status.ok()) << status;
}

TEST_F(ChannelTest, EndsACallAtItsDeadline) {
  FakeRunService service(FakeRunService::Hang);
  const auto server = Serve(service);
  Connect(server->address());
  const absl::Time start = absl::Now();
  EXPECT_EQ(GetRun(absl::Milliseconds(200)).code(),
            absl::StatusCode::kDeadlineExceeded);
  EXPECT_LT(absl::Now() - start, absl::Seconds(5));
}

TEST_F(ChannelTest, EndsACallThatIsCancelled) {
  absl::Notification started;
  FakeRunService service([&](grpc::ServerContext& context,
                             const v1::GetRunRequest& request, v1::Run& run) {
    started.Notify();
    return FakeRunService::Hang(context, request, run);
  });
  const auto server = Serve(service);
  Connect(server->address());
  grpc::ClientContext context;
  SetDeadline(context, absl::Seconds(60));
  std::jthread canceller([&] {
    started.WaitForNotification();
    context.TryCancel();
  });
  const auto run =
      Call(context, *stub_, &v1::RunService::Stub::GetRun, v1::GetRunRequest());
  EXPECT_EQ(run.status().code(), absl::StatusCode::kCancelled);
}

TEST_F(ChannelTest, NoticesASilentPeerWithinTwiceTheKeepalive) {
  absl::Notification started;
  FakeRunService service([&](grpc::ServerContext& context,
                             const v1::GetRunRequest& request, v1::Run& run) {
    started.Notify();
    return FakeRunService::Hang(context, request, run);
  });
  const auto server = Serve(service);
  FrozenProxy proxy(base::ParseHostPort(server->address())->port);
  Connect(proxy.address(), {.keepalive = kFastKeepalive});
  absl::Time frozen;
  std::jthread freezer([&] {
    started.WaitForNotification();
    frozen = absl::Now();
    proxy.Freeze();
  });
  EXPECT_EQ(GetRun(absl::Seconds(60)).code(), absl::StatusCode::kUnavailable);
  freezer.join();
  const absl::Duration noticed = absl::Now() - frozen;
  EXPECT_GT(noticed, absl::Milliseconds(900));
  EXPECT_LT(noticed, absl::Seconds(4));
}

// A server without the constants of keepalive.h cuts this call after 4 s.
TEST_F(ChannelTest, MayPingAsOftenAsItDoes) {
  FakeRunService service(FakeRunService::Hang);
  const auto server = Serve(service);
  Connect(server->address(), {.keepalive = kFastKeepalive});
  EXPECT_EQ(GetRun(absl::Seconds(7)).code(),
            absl::StatusCode::kDeadlineExceeded);
}

TEST_F(ChannelTest, UsesNoProxyOfTheEnvironment) {
  setenv("http_proxy", "http://127.0.0.1:1", /*overwrite=*/1);
  FakeRunService service;
  const auto server = Serve(service);
  Connect(server->address());
  EXPECT_TRUE(GetRun().ok());
  unsetenv("http_proxy");
}

TEST_F(ChannelTest, RefusesWhatIsNotAnAddress) {
  EXPECT_EQ(MakeChannel("coordinator").status().code(),
            absl::StatusCode::kInvalidArgument);
}

}  // namespace
}  // namespace varalign::rpc
