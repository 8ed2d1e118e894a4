// How a verb ends.
#ifndef VARALIGN_CLI_OUTCOME_H_
#define VARALIGN_CLI_OUTCOME_H_

#include <cstdio>

#include "CLI/CLI.hpp"
#include "absl/status/status.h"
#include "base/exit_code.h"
#include "base/logging.h"
#include "base/string_view.h"

namespace varalign::cli {

// Prints "varalign VERB: MESSAGE" on standard error unless `status` is ok, and
// returns what the program ends with. REQUIRES: `app` has parsed a verb.
inline base::ExitCode ReportOutcome(const CLI::App& app,
                                    const absl::Status& status) {
  if (!status.ok()) {
    std::fprintf(stderr, "varalign %s: %s\n",
                 app.get_subcommands().front()->get_name().c_str(),
                 base::StripControl(base::ToStd(status.message())).c_str());
  }
  return base::ExitCodeFor(status);
}

}  // namespace varalign::cli

#endif  // VARALIGN_CLI_OUTCOME_H_
