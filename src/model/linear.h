// Matrix products with parameters.
#ifndef VARALIGN_MODEL_LINEAR_H_
#define VARALIGN_MODEL_LINEAR_H_

#include <ATen/core/Tensor.h>

#include <cstdint>

#include "model/low_rank.h"
#include "model/recipe.h"

namespace varalign::model {

// y = x weight^T + bias, and the low-rank part where there is one: then weight
// and bias are frozen.
struct LinearParameters {
  at::Tensor weight = {};  // [out, in]
  at::Tensor bias = {};    // [out]; undefined: none
  LowRank low_rank = {};
};

// x [T, in] -> y [T, out]. Where a parameter already has a gradient, the
// backward pass adds to that memory and hands the engine none. No gradient is
// computed for what requires none, and x is kept only for gradients. With a
// recipe of x the backward pass forms x again instead of keeping it.
at::Tensor Linear(const at::Tensor& x, const LinearParameters& parameters,
                  const Recipe& recipe_of_x = {});

// tokens [T] int64, weight [V, H] -> rows [T, H]. The gradient as in Linear.
at::Tensor Embed(const at::Tensor& tokens, const at::Tensor& weight);

// Rows of a tile of the batch-invariant product.
inline constexpr int64_t kTileRows = 256;

// Linear by products of exactly kTileRows rows each, so that a row's bits do
// not depend on how many others there are. Records no gradient.
// REQUIRES: T is a multiple of kTileRows.
at::Tensor TiledLinear(const at::Tensor& x, const LinearParameters& parameters,
                       const Recipe& recipe_of_x = {});

}  // namespace varalign::model

#endif  // VARALIGN_MODEL_LINEAR_H_
