// The arithmetic of training by the usual yardstick, and the share of a
// device's peak that it makes.
#ifndef VARALIGN_MODEL_TRAINING_FLOPS_H_
#define VARALIGN_MODEL_TRAINING_FLOPS_H_

#include <cstdint>

#include "model/model_config.h"

namespace varalign::model {

// Elements of the matrices that a token is multiplied with. Norms, biases and
// the embedding's lookup are left out.
struct MatrixSizes {
  int64_t body = 0;  // of all layers
  int64_t head = 0;  // lm_head, the embedding where tied; kReward: the score's
};
MatrixSizes MatrixSizesOf(const ModelConfig& config);

// What a batch asks of the model besides its shape.
struct TokenWork {
  // sum(length^2) / sum(length) over the packed rows: what a token would see
  // of attention if it were not causal.
  double mean_context = 0;
  // Share of the tokens whose head was computed. 1 to compare with programs
  // that compute all of them.
  double head_share = 1;
};

// Floating-point operations of a token, forward and backward: 6 for each
// element of a matrix, and 6 * layers * heads * head_dim * mean_context for
// causal attention. What is computed again and what is padding do not count.
double TrainingFlopsPerToken(const ModelConfig& config, const TokenWork& work);

// Dense bfloat16 of an H100 or H200 SXM; the figure of the data sheet that is
// twice as high is that of sparse matrices.
inline constexpr double kHopperPeakFlops = 989.4e12;

// Model FLOPs utilisation (Chowdhery et al., arXiv 2204.02311, appendix B).
constexpr double ModelFlopsUtilisation(double tokens_per_second,
                                       double flops_per_token,
                                       double peak_flops) {
  return tokens_per_second * flops_per_token / peak_flops;
}

}  // namespace varalign::model

#endif  // VARALIGN_MODEL_TRAINING_FLOPS_H_
