// The loss half: sum over loss rows of weight * negative log-likelihood,
// without ever making a [T, V] tensor.
#ifndef VARALIGN_OBJECTIVE_WEIGHTED_NLL_H_
#define VARALIGN_OBJECTIVE_WEIGHTED_NLL_H_

#include <ATen/core/Tensor.h>

#include <cstdint>

namespace varalign::objective {

struct WeightedNll {
  at::Tensor
      loss;        // [] same dtype as hidden: sum_t w_t * nll_t; differentiable
  at::Tensor nll;  // [R] float: -log p(target), detached
};

// hidden [R, H], lm_head [V, H], targets [R] int64, weights [R] (constants, no
// gradient flows into them). Logits are made in chunks of `chunk_rows` rows;
// the gradients of hidden and lm_head are computed in the forward pass, so the
// backward pass only scales: REQUIRES grad_output 1 (the divisor D is applied
// by the optimizer).
WeightedNll WeightedNllLoss(const at::Tensor& hidden, const at::Tensor& lm_head,
                            const at::Tensor& targets,
                            const at::Tensor& weights,
                            int64_t chunk_rows = 1024);

}  // namespace varalign::objective

#endif  // VARALIGN_OBJECTIVE_WEIGHTED_NLL_H_
