// The choice of a next token from logits. Pure functions: any thread.
#ifndef VARALIGN_MODEL_SAMPLER_H_
#define VARALIGN_MODEL_SAMPLER_H_

#include <cstdint>
#include <span>
#include <vector>

#include "absl/status/status.h"

namespace varalign::model {

struct SamplingOptions {
  double temperature = 1;  // >= 0; 0: always the largest logit
  uint32_t top_k = 0;      // only the k largest; 0: all
  // Of these only the fewest whose probabilities add up to it; in (0, 1].
  double top_p = 1;
};

// InvalidArgument names the option that is out of range.
absl::Status CheckSampling(const SamplingOptions& options);

struct Candidate {
  uint32_t token = 0;
  double probability = 0;
};

// What may be chosen, the most probable first (of equals the lower id), with
// probabilities that add up to 1. Temperature comes first, then top-k, then
// top-p, as in transformers. REQUIRES: at least one logit.
std::vector<Candidate> Candidates(std::span<const float> logits,
                                  const SamplingOptions& options);

// The candidate at `uniform`, in [0, 1), of the cumulated probabilities.
uint32_t ChooseToken(std::span<const float> logits,
                     const SamplingOptions& options, double uniform);

// Number `step` of the stream `stream` under `seed`, in [0, 1). Depends on
// these three alone, so a sequence's sample does not depend on its batch.
double UniformNumber(uint64_t seed, uint64_t stream, uint64_t step);

}  // namespace varalign::model

#endif  // VARALIGN_MODEL_SAMPLER_H_
