// What is said of a command line that does not parse.
#ifndef VARALIGN_CLI_PARSE_ERROR_H_
#define VARALIGN_CLI_PARSE_ERROR_H_

#include <optional>
#include <span>
#include <string>

#include "CLI/CLI.hpp"
#include "base/exit_code.h"

namespace varalign::cli {

// One line. An option that the verb does not have is told with the one that was
// probably meant: "--set train.max_steps=VALUE" for a key of the configuration,
// else the option with nearly its name. REQUIRES: `app` threw `error`.
std::string ExplainParseError(const CLI::App& app,
                              const CLI::ParseError& error);

// Parses `argv`. Nothing where a verb's action is to be run; else what was
// asked for (help) or went wrong has been printed, and this is how the program
// ends.
std::optional<base::ExitCode> ParseCommandLine(CLI::App& app,
                                               std::span<char*> argv);

}  // namespace varalign::cli

#endif  // VARALIGN_CLI_PARSE_ERROR_H_
