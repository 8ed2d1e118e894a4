// `varalign train CONFIG`: a whole run on this machine, from start to end.
#ifndef VARALIGN_CLI_TRAIN_VERB_H_
#define VARALIGN_CLI_TRAIN_VERB_H_

#include "base/progress.h"
#include "cli/verb.h"

namespace varalign::cli {

// `screen`, of standard error, shows the run.
void AddTrainVerb(CLI::App& app, Action& action, base::ProgressScreen screen);

}  // namespace varalign::cli

#endif  // VARALIGN_CLI_TRAIN_VERB_H_
