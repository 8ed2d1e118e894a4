// `varalign eval`.
#ifndef VARALIGN_CLI_EVAL_EVAL_VERB_H_
#define VARALIGN_CLI_EVAL_EVAL_VERB_H_

#include "base/progress.h"
#include "cli/eval/eval_models.h"
#include "cli/verb.h"

namespace varalign::cli {

// `models` is empty in the light client, which shows the help only.
void AddEvalVerb(CLI::App& app, Action& action, base::ProgressScreen screen,
                 EvalModels models = {});

}  // namespace varalign::cli

#endif  // VARALIGN_CLI_EVAL_EVAL_VERB_H_
