// `varalign world make`: the data and the models of the quickstart.
#ifndef VARALIGN_CLI_WORLD_WORLD_VERB_H_
#define VARALIGN_CLI_WORLD_WORLD_VERB_H_

#include "base/progress.h"
#include "cli/verb.h"

namespace varalign::cli {

void AddWorldVerb(CLI::App& app, Action& action, base::ProgressScreen screen);

}  // namespace varalign::cli

#endif  // VARALIGN_CLI_WORLD_WORLD_VERB_H_
