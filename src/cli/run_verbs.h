// The verbs of a client of a coordinator: submit, watch, list, cancel.
#ifndef VARALIGN_CLI_RUN_VERBS_H_
#define VARALIGN_CLI_RUN_VERBS_H_

#include "base/progress.h"
#include "cli/verb.h"

namespace varalign::cli {

void AddSubmitVerb(CLI::App& app, Action& action);
// `screen`, of standard error, shows the run.
void AddWatchVerb(CLI::App& app, Action& action, base::ProgressScreen screen);
void AddListVerb(CLI::App& app, Action& action);
void AddCancelVerb(CLI::App& app, Action& action);

}  // namespace varalign::cli

#endif  // VARALIGN_CLI_RUN_VERBS_H_
