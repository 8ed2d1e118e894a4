// Runs one batch so that a bad pair fails alone.
#ifndef VARALIGN_REWARD_SERVER_BATCH_SCORING_H_
#define VARALIGN_REWARD_SERVER_BATCH_SCORING_H_

#include <span>
#include <vector>

#include "absl/status/statusor.h"
#include "reward_server/scorer.h"

namespace varalign::reward_server {

// One entry a pair, in order. A batch that fails is run again pair by pair,
// which changes no bit of the pairs that succeed. A pair that fails alone:
//
//   DataLoss   its value is not finite
//   Internal   out of memory, an exception, a wrong number of scores
//   others     the model's own
std::vector<absl::StatusOr<ModelScore>> ScoreBatch(
    Scorer& scorer, ModelKind kind, std::span<const TokenPair> pairs);

}  // namespace varalign::reward_server

#endif  // VARALIGN_REWARD_SERVER_BATCH_SCORING_H_
