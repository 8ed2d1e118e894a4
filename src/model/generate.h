// Text generation: batched, with kept keys and values.
//
// A sequence's tokens and log-probabilities depend on the parameters, its
// prompt, the options and its stream number alone, not on its batch mates.
// Call inside a base::CatchExceptions; not thread safe for one set of
// parameters that is being trained.
#ifndef VARALIGN_MODEL_GENERATE_H_
#define VARALIGN_MODEL_GENERATE_H_

#include <cstdint>
#include <functional>
#include <span>
#include <vector>

#include "absl/status/statusor.h"
#include "model/parameters.h"
#include "model/sampler.h"

namespace varalign::model {

struct GenerateOptions {
  SamplingOptions sampling;
  uint32_t max_new_tokens = 256;      // >= 1
  std::vector<uint32_t> stop_tokens = {};  // any of them ends a response
  uint64_t seed = 0;
};

struct GenerationPrompt {
  std::vector<uint32_t> ids;  // one or more
  uint64_t stream = 0;        // of random numbers
};

enum class FinishReason { kStop, kLength };

struct Generation {
  std::vector<uint32_t> ids;     // with the stop token
  std::vector<float> log_probs;  // of each id, temperature 1, no truncation
  double logprob_sum = 0;       // nats
  // kLength: max_new_tokens, or the model's last position, is reached.
  FinishReason finish_reason = FinishReason::kLength;
};

// Hears each token as it is chosen.
using TokenSink = std::function<void(size_t prompt, uint32_t token)>;

// In the order of the prompts.
//
//   InvalidArgument   an option is out of range, a prompt is empty, an id is
//                     outside the vocabulary, or the model is a reward model
//   OutOfRange        a prompt leaves no position of the model for a token
//   DataLoss          logits are not finite
absl::StatusOr<std::vector<Generation>> Generate(
    const Parameters& parameters, std::span<const GenerationPrompt> prompts,
    const GenerateOptions& options, const TokenSink& sink = nullptr);

}  // namespace varalign::model

#endif  // VARALIGN_MODEL_GENERATE_H_
