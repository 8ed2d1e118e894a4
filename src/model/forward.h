// The decoder, from token ids to hidden states.
#ifndef VARALIGN_MODEL_FORWARD_H_
#define VARALIGN_MODEL_FORWARD_H_

#include <ATen/core/Tensor.h>

#include <cstdint>
#include <span>

#include "model/parameters.h"

namespace varalign::model {

// Hidden states after the final norm, [T, H], for packed sequences: `tokens`
// [T] int64, sequence s at [cu_seqlens[s], cu_seqlens[s + 1]). Sequences do not
// see each other; positions restart at each. Differentiable where parameters
// require gradients.
//
// REQUIRES: ids within the vocabulary (libtorch throws otherwise), sequences no
// longer than the model's positions.
//
// `rows` [R] int64: only these rows are returned, [R, H], and the last layer
// computes its output projection and MLP on them alone. Undefined: all rows.
at::Tensor Forward(const Parameters& parameters, const at::Tensor& tokens,
                   std::span<const int64_t> cu_seqlens,
                   const at::Tensor& rows = {});

}  // namespace varalign::model

#endif  // VARALIGN_MODEL_FORWARD_H_
