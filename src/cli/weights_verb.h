// `varalign weights`.
#ifndef VARALIGN_CLI_WEIGHTS_VERB_H_
#define VARALIGN_CLI_WEIGHTS_VERB_H_

#include "cli/verb.h"

namespace varalign::cli {

void AddWeightsVerb(CLI::App& app, Action& action);

}  // namespace varalign::cli

#endif  // VARALIGN_CLI_WEIGHTS_VERB_H_
