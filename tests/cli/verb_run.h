// Runs a verb of `varalign` in the test's process.
#ifndef VARALIGN_TESTS_CLI_VERB_RUN_H_
#define VARALIGN_TESTS_CLI_VERB_RUN_H_

#include <functional>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "base/exit_code.h"
#include "base/json.h"
#include "cli/verb.h"

namespace varalign::cli {

struct VerbRun {
  base::ExitCode code = base::kExitOk;  // kExitUsage: the words do not parse
  absl::Status status;  // with what the parser says, where it does not
  std::string out;      // standard output
  std::string err;      // standard error
};

// `add` adds the verbs; `words` is the command line after "varalign".
VerbRun RunVerb(const std::function<void(CLI::App&, Action&)>& add,
                std::vector<std::string> words);

// REQUIRES: every line of `text` is JSON.
std::vector<base::Json> JsonLines(const std::string& text);

}  // namespace varalign::cli

#endif  // VARALIGN_TESTS_CLI_VERB_RUN_H_
