#include "rpc/grpc_server.h"

#include <stdlib.h>

#include <filesystem>
#include <memory>
#include <string>
#include <thread>
#include <vector>

#include "absl/synchronization/mutex.h"
#include "absl/synchronization/notification.h"
#include "absl/time/clock.h"
#include "base/exit_code.h"
#include "base/file.h"
#include "gmock/gmock.h"
#include "grpcpp/impl/client_unary_call.h"
#include "gtest/gtest.h"
#include "rpc/call.h"
#include "rpc/channel.h"
#include "tests/rpc/fake_run_service.h"

namespace varalign::rpc {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;

std::unique_ptr<GrpcServer> StartOrDie(grpc::Service& service,
                                       const ServerOptions& options = {}) {
  auto server = GrpcServer::Start(options, {&service});
  EXPECT_TRUE(server.ok()) << server.status();
  return *std::move(server);
}

absl::StatusOr<v1::Run> GetRun(const std::string& address,
                               const std::string& run_id,
                               absl::Duration timeout = absl::Seconds(10)) {
  const auto channel = MakeChannel(address);
  if (!channel.ok()) return channel.status();
  const auto stub = v1::RunService::NewStub(*channel);
  v1::GetRunRequest request;
  request.set_run_id(run_id);
  return Call(*stub, &v1::RunService::Stub::GetRun, request, timeout);
}

// The answer of grpc.health.v1.Health/Check: 1 SERVING, 2 NOT_SERVING. Its
// messages have the wire form of these two of ours.
absl::StatusOr<uint32_t> Health(const std::string& address) {
  const auto channel = MakeChannel(address);
  if (!channel.ok()) return channel.status();
  grpc::ClientContext context;
  SetDeadline(context, absl::Seconds(10));
  v1::ListRunsRequest response;
  const grpc::internal::RpcMethod method("/grpc.health.v1.Health/Check",
                                         grpc::internal::RpcMethod::NORMAL_RPC,
                                         *channel);
  const grpc::Status status = grpc::internal::BlockingUnaryCall(
      channel->get(), method, &context, v1::GetRunRequest(), &response);
  if (!status.ok()) return FromGrpc(status);
  return response.page_size();
}

TEST(GrpcServerTest, ServesOnAFreePort) {
  FakeRunService service;
  const auto server = StartOrDie(service);
  EXPECT_THAT(server->address(), HasSubstr("127.0.0.1:"));
  const auto run = GetRun(server->address(), "r-1");
  ASSERT_TRUE(run.ok()) << run.status();
  EXPECT_EQ(run->run_id(), "r-1");
}

TEST(GrpcServerTest, NamesThePortThatIsTaken) {
  FakeRunService first_service, second_service;
  const auto first = StartOrDie(first_service);
  const auto second =
      GrpcServer::Start({.listen = first->address()}, {&second_service});
  EXPECT_EQ(second.status().code(), absl::StatusCode::kUnavailable);
  EXPECT_EQ(second.status().message(),
            "cannot listen on " + first->address() +
                ": address in use; choose another port or 0");
  EXPECT_EQ(base::ExitCodeFor(second.status()), base::kExitUnavailable);

  // None of the calls goes to the one that was refused.
  for (int i = 0; i < 20; ++i) {
    EXPECT_TRUE(GetRun(first->address(), "r-1").ok());
  }
  EXPECT_EQ(first_service.calls, 20);
  EXPECT_EQ(second_service.calls, 0);
}

TEST(GrpcServerTest, NamesAnAddressThatIsNotOfThisHost) {
  FakeRunService service;
  // A documentation address, RFC 5737.
  const auto server = GrpcServer::Start(
      {.listen = "192.0.2.1:0", .exposure = base::Exposure::kInsecureNetwork},
      {&service});
  EXPECT_EQ(server.status().code(), absl::StatusCode::kUnavailable);
  EXPECT_EQ(server.status().message(),
            "cannot listen on 192.0.2.1:0: not an address of this host");
}

TEST(GrpcServerTest, StaysOnLoopbackUnlessToldOtherwise) {
  FakeRunService service;
  const auto refused = GrpcServer::Start({.listen = "0.0.0.0:0"}, {&service});
  EXPECT_EQ(refused.status().code(), absl::StatusCode::kFailedPrecondition);
  EXPECT_THAT(std::string(refused.status().message()),
              HasSubstr("there is no TLS yet"));
  EXPECT_EQ(base::ExitCodeFor(refused.status()), base::kExitPermission);

  const auto server = StartOrDie(
      service,
      {.listen = "0.0.0.0:0", .exposure = base::Exposure::kInsecureNetwork});
  EXPECT_THAT(server->address(), HasSubstr("0.0.0.0:"));
}

TEST(GrpcServerTest, RefusesWhatIsNotAnAddress) {
  for (const char* address : {"", "7000", "localhost", "a:b", "127.0.0.1:70000",
                              "unix:/tmp/socket", "::1:7000"}) {
    const auto server = GrpcServer::Start({.listen = address}, {});
    EXPECT_EQ(server.status().code(), absl::StatusCode::kInvalidArgument)
        << address;
    EXPECT_EQ(base::ExitCodeFor(server.status()), base::kExitUsage);
  }
}

TEST(GrpcServerTest, HealthFollowsServing) {
  FakeRunService service;
  const auto server = StartOrDie(service);
  auto health = Health(server->address());
  ASSERT_TRUE(health.ok()) << health.status();
  EXPECT_EQ(*health, 1u);

  server->SetServing(false);
  health = Health(server->address());
  ASSERT_TRUE(health.ok()) << health.status();
  EXPECT_EQ(*health, 2u);
}

TEST(GrpcServerTest, RefusesAMessageAboveItsLimit) {
  FakeRunService service;
  const auto server = StartOrDie(service, {.max_message_bytes = 1000});
  EXPECT_TRUE(GetRun(server->address(), std::string(900, 'x')).ok());
  EXPECT_EQ(GetRun(server->address(), std::string(1100, 'x')).status().code(),
            absl::StatusCode::kResourceExhausted);
}

TEST(GrpcServerTest, ShutdownLetsACallFinishWithinTheGrace) {
  absl::Notification started, finish;
  FakeRunService service([&](grpc::ServerContext& context,
                             const v1::GetRunRequest& request, v1::Run& run) {
    started.Notify();
    finish.WaitForNotificationWithTimeout(absl::Seconds(10));
    return FakeRunService::Echo(context, request, run);
  });
  const auto server = StartOrDie(service);
  absl::Status status = absl::UnknownError("not called");
  std::jthread client(
      [&] { status = GetRun(server->address(), "r-1").status(); });
  started.WaitForNotification();
  std::jthread stopper([&] { server->Shutdown(absl::Seconds(10)); });
  finish.Notify();
  stopper.join();
  client.join();
  EXPECT_TRUE(status.ok()) << status;
}

TEST(GrpcServerTest, ShutdownCancelsACallThatOutlivesTheGrace) {
  absl::Notification started;
  FakeRunService service([&](grpc::ServerContext& context,
                             const v1::GetRunRequest& request, v1::Run& run) {
    started.Notify();
    return FakeRunService::Hang(context, request, run);
  });
  const auto server = StartOrDie(service);
  absl::Status status;
  std::jthread client([&] {
    status = GetRun(server->address(), "r-1", absl::Seconds(60)).status();
  });
  started.WaitForNotification();
  const absl::Time start = absl::Now();
  server->Shutdown(absl::Milliseconds(50));
  client.join();
  EXPECT_FALSE(status.ok());
  EXPECT_LT(absl::Now() - start, absl::Seconds(20));
  server->Shutdown(absl::Seconds(1));  // again: no effect
}

TEST(GrpcServerTest, ReportsEachCallOnce) {
  absl::Mutex mutex;
  std::vector<std::string> calls;
  FakeRunService service([](grpc::ServerContext& context,
                            const v1::GetRunRequest& request, v1::Run& run) {
    if (request.run_id() == "none") {
      return grpc::Status(grpc::StatusCode::NOT_FOUND, "no such run: none");
    }
    return FakeRunService::Echo(context, request, run);
  });
  auto server =
      StartOrDie(service, {.on_call = [&](const CallRecord& call) {
                   EXPECT_GE(call.duration, absl::ZeroDuration());
                   EXPECT_LT(call.duration, absl::Seconds(10));
                   absl::MutexLock lock(&mutex);
                   calls.push_back(std::string(call.method) + " " +
                                   absl::StatusCodeToString(call.code));
                 }});
  EXPECT_TRUE(GetRun(server->address(), "r-1").ok());
  EXPECT_FALSE(GetRun(server->address(), "none").ok());
  server.reset();
  EXPECT_THAT(calls, ElementsAre("/varalign.v1.RunService/GetRun OK",
                                 "/varalign.v1.RunService/GetRun NOT_FOUND"));
}

TEST(AnnounceAddressTest, PrintsOneLineAndWritesTheFile) {
  const std::filesystem::path file =
      std::filesystem::path(::testing::TempDir()) / "announce_address";
  ::testing::internal::CaptureStdout();
  const absl::Status status = AnnounceAddress("127.0.0.1:7000", file);
  EXPECT_EQ(::testing::internal::GetCapturedStdout(),
            "listening on 127.0.0.1:7000\n");
  ASSERT_TRUE(status.ok()) << status;
  EXPECT_EQ(*base::ReadFile(file), "127.0.0.1:7000\n");
}

TEST(AnnounceAddressTest, SaysWhichFileCannotBeWritten) {
  const absl::Status status =
      AnnounceAddress("127.0.0.1:7000", "/nonexistent/directory/address");
  EXPECT_EQ(status.code(), absl::StatusCode::kNotFound);
  EXPECT_THAT(std::string(status.message()),
              HasSubstr("/nonexistent/directory"));
}

}  // namespace
}  // namespace varalign::rpc
