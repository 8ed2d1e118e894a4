// The verbs that compute with libtorch live in a program of their own, so that
// the others start at once.
#ifndef VARALIGN_CLI_COMPUTE_EXEC_H_
#define VARALIGN_CLI_COMPUTE_EXEC_H_

#include <span>

#include "absl/status/status.h"

namespace varalign::cli {

// Must this command line run in varalign-compute? Pure.
bool NeedsCompute(std::span<char* const> argv);

// Becomes varalign-compute with the same arguments; returns only an error.
absl::Status ExecCompute(std::span<char* const> argv);

}  // namespace varalign::cli

#endif  // VARALIGN_CLI_COMPUTE_EXEC_H_
