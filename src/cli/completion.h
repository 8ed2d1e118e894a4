// Completion scripts, generated from the parser.
#ifndef VARALIGN_CLI_COMPLETION_H_
#define VARALIGN_CLI_COMPLETION_H_

#include <string>

#include "CLI/CLI.hpp"
#include "absl/status/statusor.h"

namespace varalign::cli {

// `shell`: bash, zsh or fish; InvalidArgument (exit code 64) for another.
absl::StatusOr<std::string> CompletionScript(const CLI::App& app,
                                             const std::string& shell);

}  // namespace varalign::cli

#endif  // VARALIGN_CLI_COMPLETION_H_
