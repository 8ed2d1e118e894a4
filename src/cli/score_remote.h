// Scores rows on a reward server.
#ifndef VARALIGN_CLI_SCORE_REMOTE_H_
#define VARALIGN_CLI_SCORE_REMOTE_H_

#include <memory>
#include <span>
#include <string>

#include "absl/status/statusor.h"
#include "cli/prepare_encoder.h"
#include "cli/score_row.h"

namespace varalign::cli {

// Asks the server what it serves. Later calls insist on the same models and
// wait while the server has no room.
//
//   InvalidArgument      `server` is not HOST:PORT
//   Unavailable          nobody answers there
//   FailedPrecondition   the server lacks the policy that per-token values
//                        need, or was loaded with another tokenizer or chat
//                        template than `encoders` (the policy's, then the
//                        reward model's; null where not given), or with
//                        another model than the directories of `options` hold
absl::StatusOr<std::unique_ptr<RowScorer>> ConnectScorer(
    const std::string& server, const ScorerOptions& options,
    const ExampleEncoder* policy_encoder, const ExampleEncoder* reward_encoder);

}  // namespace varalign::cli

#endif  // VARALIGN_CLI_SCORE_REMOTE_H_
