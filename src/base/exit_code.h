// The exit codes of every program: a public contract, batch scripts act on 93.
#ifndef VARALIGN_BASE_EXIT_CODE_H_
#define VARALIGN_BASE_EXIT_CODE_H_

#include "absl/status/status.h"

namespace varalign::base {

enum ExitCode : int {
  kExitOk = 0,
  kExitUsage = 64,
  kExitBadData = 65,
  kExitInputMissing = 66,
  kExitUnavailable = 69,  // service unreachable, port in use
  kExitInternal = 70,
  kExitCannotCreate = 73,  // output
  kExitIo = 74,
  kExitPermission = 77,
  kExitBadConfig = 78,
  kExitStopped = 93,  // by policy or cancel: do not requeue
};

// Attaches the code that a program ends with where it differs from the one
// that the status code implies. Wraps and returns `status`.
absl::Status WithExitCode(absl::Status status, ExitCode code);

// The attached code, else by status code:
//   Ok 0, InvalidArgument and DataLoss 65, NotFound 66, Unavailable and
//   DeadlineExceeded 69, PermissionDenied and Unauthenticated 77,
//   ResourceExhausted 74, AlreadyExists 73, Cancelled 93, others 70.
ExitCode ExitCodeFor(const absl::Status& status);

}  // namespace varalign::base

#endif  // VARALIGN_BASE_EXIT_CODE_H_
