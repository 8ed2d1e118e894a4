#include "base/exit_code.h"

#include "absl/strings/cord.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"

namespace varalign::base {
namespace {

constexpr char kPayload[] = "varalign/exit-code";

ExitCode ImpliedBy(absl::StatusCode code) {
  switch (code) {
    case absl::StatusCode::kOk:
      return kExitOk;
    case absl::StatusCode::kInvalidArgument:
    case absl::StatusCode::kDataLoss:
      return kExitBadData;
    case absl::StatusCode::kNotFound:
      return kExitInputMissing;
    case absl::StatusCode::kUnavailable:
    case absl::StatusCode::kDeadlineExceeded:
      return kExitUnavailable;
    case absl::StatusCode::kPermissionDenied:
    case absl::StatusCode::kUnauthenticated:
      return kExitPermission;
    case absl::StatusCode::kResourceExhausted:
      return kExitIo;
    case absl::StatusCode::kAlreadyExists:
      return kExitCannotCreate;
    case absl::StatusCode::kCancelled:
      return kExitStopped;
    default:
      return kExitInternal;
  }
}

}  // namespace

absl::Status WithExitCode(absl::Status status, ExitCode code) {
  status.SetPayload(kPayload, absl::Cord(absl::StrCat(int{code})));
  return status;
}

ExitCode ExitCodeFor(const absl::Status& status) {
  const auto payload = status.GetPayload(kPayload);
  int code = 0;
  if (payload && absl::SimpleAtoi(std::string(*payload), &code)) {
    return static_cast<ExitCode>(code);
  }
  return ImpliedBy(status.code());
}

}  // namespace varalign::base
