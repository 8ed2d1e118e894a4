// `varalign train CONFIG`: a whole run on this machine, from start to end.
#ifndef VARALIGN_CLI_TRAIN_VERB_H_
#define VARALIGN_CLI_TRAIN_VERB_H_

#include "cli/verb.h"

namespace varalign::cli {

void AddTrainVerb(CLI::App& app, Action& action);

}  // namespace varalign::cli

#endif  // VARALIGN_CLI_TRAIN_VERB_H_
