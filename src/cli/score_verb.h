// `varalign score`.
#ifndef VARALIGN_CLI_SCORE_VERB_H_
#define VARALIGN_CLI_SCORE_VERB_H_

#include "base/progress.h"
#include "cli/score_row.h"
#include "cli/verb.h"

namespace varalign::cli {

// `load_local`: how models are loaded where there is no --server; null in the
// light client, which hands such a command line to varalign-compute.
void AddScoreVerb(CLI::App& app, Action& action, base::ProgressScreen screen,
                  LoadScorer load_local = {});

}  // namespace varalign::cli

#endif  // VARALIGN_CLI_SCORE_VERB_H_
