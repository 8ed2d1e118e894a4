// The decoder, from token ids to hidden states.
#ifndef VARALIGN_MODEL_FORWARD_H_
#define VARALIGN_MODEL_FORWARD_H_

#include <ATen/core/Tensor.h>

#include <cstdint>
#include <span>

#include "base/packed_layout.h"
#include "model/parameters.h"
#include "model/recompute.h"

namespace varalign::model {

// Hidden states after the final norm, [T, H], for packed rows: `tokens` [T]
// int64, laid out by `packed`. Blocks do not see each other; positions restart
// at each. Differentiable where parameters require gradients; the parameters
// outlive the backward pass.
//
// REQUIRES: ids within the vocabulary (libtorch throws otherwise), texts no
// longer than the model's positions.
//
// `rows` [R] int64, perhaps with repetitions: only these rows are returned,
// [R, H], and the last layer computes its output projection and MLP on them
// alone. Undefined: all rows.
at::Tensor Forward(const Parameters& parameters, const at::Tensor& tokens,
                   const base::PackedLayout& packed,
                   const at::Tensor& rows = {},
                   Recompute recompute = Recompute::kNothing);

// The same for whole sequences, s at [cu_seqlens[s], cu_seqlens[s + 1]).
at::Tensor Forward(const Parameters& parameters, const at::Tensor& tokens,
                   std::span<const int64_t> cu_seqlens,
                   const at::Tensor& rows = {});

}  // namespace varalign::model

#endif  // VARALIGN_MODEL_FORWARD_H_
