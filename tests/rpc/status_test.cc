#include "rpc/status.h"

#include <memory>
#include <string>

#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "rpc/call.h"
#include "rpc/channel.h"
#include "rpc/grpc_server.h"
#include "tests/rpc/fake_run_service.h"

namespace varalign::rpc {
namespace {

// What a client sees of a handler that fails with `message`.
std::string MessageOverTheWire(const std::string& message) {
  FakeRunService service(
      [&](grpc::ServerContext&, const v1::GetRunRequest&, v1::Run&) {
        return ToGrpc(absl::FailedPreconditionError(message));
      });
  const auto server = GrpcServer::Start({}, {&service});
  const auto channel = MakeChannel((*server)->address());
  const auto stub = v1::RunService::NewStub(*channel);
  const absl::Status status = Call(*stub, &v1::RunService::Stub::GetRun,
                                   v1::GetRunRequest(), absl::Seconds(10))
                                  .status();
  EXPECT_EQ(status.code(), absl::StatusCode::kFailedPrecondition);
  return std::string(status.message());
}

TEST(StatusTest, EveryCodeAndItsMessageComeBack) {
  for (int code = 0; code <= 16; ++code) {
    const absl::Status status(static_cast<absl::StatusCode>(code),
                              code == 0 ? "" : "what happened: 7");
    EXPECT_EQ(FromGrpc(ToGrpc(status)), status);
  }
}

TEST(StatusTest, KeepsLinesAndForeignLetters) {
  const std::string message = "two lines:\n  größer 大\t100 %";
  EXPECT_EQ(MessageOverTheWire(message), message);
}

TEST(StatusTest, CutsALongMessageBetweenLetters) {
  std::string message;
  for (int i = 0; i < 20'000; ++i) message += "大";
  const std::string seen = MessageOverTheWire(message);
  EXPECT_LE(seen.size(), 2000u);
  EXPECT_GE(seen.size(), 1980u);
  EXPECT_THAT(seen, ::testing::EndsWith("大 ... (cut)"));
}

TEST(StatusTest, KeepsAMessageOfTheGreatestLength) {
  const std::string message(2000, 'x');
  EXPECT_EQ(ToGrpc(absl::InternalError(message)).error_message(), message);
  EXPECT_THAT(ToGrpc(absl::InternalError(message + "x")).error_message(),
              ::testing::EndsWith("x ... (cut)"));
}

TEST(StatusTest, ReplacesBytesThatAreNotText) {
  EXPECT_EQ(MessageOverTheWire("row \xFF\xC0 and a lone \xE5"),
            "row ?? and a lone ?");
}

TEST(StatusTest, OnlyATimelyRepeatMayHelp) {
  EXPECT_TRUE(IsRetryable(absl::UnavailableError("")));
  EXPECT_TRUE(IsRetryable(absl::DeadlineExceededError("")));
  EXPECT_FALSE(IsRetryable(absl::OkStatus()));
  EXPECT_FALSE(IsRetryable(absl::AbortedError("")));
  EXPECT_FALSE(IsRetryable(absl::CancelledError("")));
  EXPECT_FALSE(IsRetryable(absl::InternalError("")));
}

}  // namespace
}  // namespace varalign::rpc
