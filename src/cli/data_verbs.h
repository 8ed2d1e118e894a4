// The verbs that turn text into ids and show the result.
#ifndef VARALIGN_CLI_DATA_VERBS_H_
#define VARALIGN_CLI_DATA_VERBS_H_

#include "base/progress.h"
#include "cli/verb.h"

namespace varalign::cli {

// `screen`, of standard error, shows how far the work is.
void AddPrepareVerb(CLI::App& app, Action& action, base::ProgressScreen screen);
// data inspect; `screen`, of standard output, takes colours where it is a
// terminal.
void AddDataVerb(CLI::App& app, Action& action, base::ProgressScreen screen);
void AddTokenizeVerb(CLI::App& app, Action& action);

}  // namespace varalign::cli

#endif  // VARALIGN_CLI_DATA_VERBS_H_
