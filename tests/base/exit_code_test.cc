#include "base/exit_code.h"

#include <gtest/gtest.h>

namespace varalign::base {
namespace {

TEST(ExitCodeTest, FollowsTheStatusCode) {
  const struct {
    absl::Status status;
    ExitCode code;
  } kCases[] = {
      {absl::OkStatus(), kExitOk},
      {absl::InvalidArgumentError("x"), kExitBadData},
      {absl::DataLossError("x"), kExitBadData},
      {absl::NotFoundError("x"), kExitInputMissing},
      {absl::UnavailableError("x"), kExitUnavailable},
      {absl::DeadlineExceededError("x"), kExitUnavailable},
      {absl::PermissionDeniedError("x"), kExitPermission},
      {absl::UnauthenticatedError("x"), kExitPermission},
      {absl::ResourceExhaustedError("x"), kExitIo},
      {absl::AlreadyExistsError("x"), kExitCannotCreate},
      {absl::CancelledError("x"), kExitStopped},
      {absl::InternalError("x"), kExitInternal},
      {absl::AbortedError("x"), kExitInternal},
  };
  for (const auto& [status, code] : kCases) {
    EXPECT_EQ(ExitCodeFor(status), code) << status;
  }
}

TEST(ExitCodeTest, AttachedCodeWinsAndKeepsTheStatus) {
  const absl::Status status =
      WithExitCode(absl::UnavailableError("read-only"), kExitCannotCreate);
  EXPECT_EQ(ExitCodeFor(status), kExitCannotCreate);
  EXPECT_EQ(status.code(), absl::StatusCode::kUnavailable);
  EXPECT_EQ(status.message(), "read-only");
}

TEST(ExitCodeTest, LastAttachedCodeWins) {
  EXPECT_EQ(ExitCodeFor(WithExitCode(
                WithExitCode(absl::InternalError("x"), kExitIo), kExitUsage)),
            kExitUsage);
}

// An ok status carries no payload, so no code can turn success into failure.
TEST(ExitCodeTest, OkStaysZero) {
  EXPECT_EQ(ExitCodeFor(WithExitCode(absl::OkStatus(), kExitIo)), kExitOk);
}

}  // namespace
}  // namespace varalign::base
