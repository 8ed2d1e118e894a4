// The verbs about the program itself: config, version, completion.
#ifndef VARALIGN_CLI_PROGRAM_VERBS_H_
#define VARALIGN_CLI_PROGRAM_VERBS_H_

#include "cli/verb.h"

namespace varalign::cli {

void AddConfigVerb(CLI::App& app, Action& action);
void AddVersionVerb(CLI::App& app, Action& action);
// Made from `app` itself, so it always knows the verbs and flags there are.
void AddCompletionVerb(CLI::App& app, Action& action);

}  // namespace varalign::cli

#endif  // VARALIGN_CLI_PROGRAM_VERBS_H_
