// Scores rows with models in this process; links libtorch.
#ifndef VARALIGN_CLI_SCORE_LOCAL_H_
#define VARALIGN_CLI_SCORE_LOCAL_H_

#include <memory>

#include "absl/status/statusor.h"
#include "cli/score_row.h"

namespace varalign::cli {

// NotFound, InvalidArgument: a directory that is no model of its kind; the
// message begins with it.
absl::StatusOr<std::unique_ptr<RowScorer>> LoadLocalScorer(
    const ScorerOptions& options);

}  // namespace varalign::cli

#endif  // VARALIGN_CLI_SCORE_LOCAL_H_
