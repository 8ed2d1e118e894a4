// The low-rank part of a matrix: LoRA (Hu et al., arXiv 2106.09685).
//
//     y = x W^T + bias + scale (x A^T) B^T,   scale = alpha / r
//
// W and the bias are frozen; A and B are trained. A matrix of ours may hold
// several projections (queries, keys and values), each with an A and a B of its
// own: their A stand below one another, so that x is read once for all.
#ifndef VARALIGN_MODEL_LOW_RANK_H_
#define VARALIGN_MODEL_LOW_RANK_H_

#include <ATen/core/Tensor.h>

#include <cstdint>
#include <vector>

#include "absl/strings/string_view.h"
#include "model/recipe.h"

namespace varalign::model {

struct LowRank {
  // Of one projection.
  struct Part {
    absl::string_view name = {};  // "self_attn.q_proj"; lives forever
    int64_t row_begin = 0;        // its first row of W, and column of y
    at::Tensor b = {};            // [rows, r]
  };

  bool empty() const { return parts.empty(); }
  int64_t rank() const {
    return a.size(0) / static_cast<int64_t>(parts.size());
  }
  // The A of parts[index], [r, in].
  at::Tensor PartA(size_t index) const {
    return a.narrow(0, static_cast<int64_t>(index) * rank(), rank());
  }

  at::Tensor a = {};             // [parts * r, in]
  std::vector<Part> parts = {};  // by row_begin; empty: no low-rank part
  double scale = 0;
};

// Adds the low-rank part to y [T, out] in place, without a gradient; returns
// x A^T [T, parts * r]. `low_rank` has parts.
at::Tensor AddLowRank(const at::Tensor& x, const LowRank& low_rank,
                      at::Tensor& y);

// W + scale B A: what a matrix without low-rank part computes the same with, up
// to rounding. Freshly allocated.
at::Tensor Merged(const at::Tensor& weight, const LowRank& low_rank);

// The whole formula, for training: gradients of x, A and B alone, none of
// `weight` and `bias` [out] (undefined: none). Gradients of A and B go where
// those of Linear (model/linear.h) go. With a recipe of x the backward pass
// forms x again instead of keeping it.
at::Tensor AdaptedLinear(const at::Tensor& x, const at::Tensor& weight,
                         const at::Tensor& bias, const LowRank& low_rank,
                         const Recipe& recipe_of_x);

}  // namespace varalign::model

#endif  // VARALIGN_MODEL_LOW_RANK_H_
