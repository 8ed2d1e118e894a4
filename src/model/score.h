// Scores of given sequences: rewards and log-probabilities. The scoring path is
// batch invariant: matrix products run over fixed tiles of rows with a fixed
// thread count, so a score has the same bits whatever else is in the call and
// in whatever order. No gradients are recorded.
//
// A prompt is computed once for all its responses in a call: they stand in one
// block (base/packed_layout.h), as does a response that is alone, so that its
// score has the same bits.
//
// The process fixes the thread count: at::set_num_threads once, before the
// first score. Another count, or another type of CPU, may give other bits. Any
// number of sequences may be in one call: they are evaluated in parts of about
// 4,096 tokens, which bounds memory and changes no score.
//
// Thread safe as long as nobody changes the parameters; calls share torch's
// threads, so one at a time is as fast. libtorch may throw (out of memory):
// call inside a base::CatchExceptions.
#ifndef VARALIGN_MODEL_SCORE_H_
#define VARALIGN_MODEL_SCORE_H_

#include <cstdint>
#include <span>
#include <vector>

#include "absl/status/statusor.h"
#include "base/packed_layout.h"
#include "model/parameters.h"

namespace varalign::model {

// A sequence to score: ids of the prompt, then of the response.
struct Sequence {
  std::span<const uint32_t> prompt;    // P >= 1
  std::span<const uint32_t> response;  // R >= 1
};

struct ResponseLogProbs {
  double sum = 0;             // log pi(y|x), nats, added up in float64
  std::vector<float> tokens;  // [R]
};

// Without sharing the bits are the same.
//
// InvalidArgument: empty prompt or response, id outside the vocabulary.
// OutOfRange: longer than the model's positions. DataLoss: a value that is not
// finite. The message names the index of the sequence.
absl::StatusOr<std::vector<ResponseLogProbs>> LogProbs(
    const Parameters& parameters, std::span<const Sequence> sequences,
    base::PromptSharing sharing = base::PromptSharing::kOn);

// The raw logit of the last response token. REQUIRES: head kReward.
absl::StatusOr<std::vector<double>> Rewards(
    const Parameters& parameters, std::span<const Sequence> sequences,
    base::PromptSharing sharing = base::PromptSharing::kOn);

}  // namespace varalign::model

#endif  // VARALIGN_MODEL_SCORE_H_
