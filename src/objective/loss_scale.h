// The place of a weight in the loss, written once (docs/method.md):
//
//   L = (1 / D) sum_i w_i * nll_i      nll_i: by objective.loss_reduction
//
// Under kind dpo L is the mean of the preference loss over the planned prompts
// with a pair (objective/preference.h).
//
// D is a property of the plan: planned rows, never those that got a weight
// above zero, nor those of a rank or micro-batch.
#ifndef VARALIGN_OBJECTIVE_LOSS_SCALE_H_
#define VARALIGN_OBJECTIVE_LOSS_SCALE_H_

#include <cstdint>

#include "varalign/v1/run_config.pb.h"

namespace varalign::objective {

// Of a planned global batch, over all ranks.
struct PlannedCounts {
  uint64_t trained_rows = 0;
  uint64_t trained_tokens = 0;  // response tokens of the trained rows
  uint64_t z_sets = 0;
  uint64_t paired_examples = 0;  // with a chosen and a rejected response
};

// D; 1 for a batch that plans nothing, so that it is always a divisor.
double Divisor(const PlannedCounts& counts, const v1::Objective& rule);

// The factor of every token's negative log-likelihood in a row of weight
// exp(log_weight) and `num_tokens` >= 1 response tokens.
double TokenWeight(double log_weight, uint32_t num_tokens,
                   const v1::Objective& rule);

}  // namespace varalign::objective

#endif  // VARALIGN_OBJECTIVE_LOSS_SCALE_H_
