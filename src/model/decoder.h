// The decoder's layers, with the matrix product left open.
#ifndef VARALIGN_MODEL_DECODER_H_
#define VARALIGN_MODEL_DECODER_H_

#include <ATen/core/Tensor.h>

#include "base/packed_layout.h"
#include "model/parameters.h"
#include "model/recipe.h"
#include "model/recompute.h"

namespace varalign::model {

using Product = at::Tensor (*)(const at::Tensor& x,
                               const LinearParameters& parameters,
                               const Recipe& recipe_of_x);

// Forward (model/forward.h) with `product` for all matrix products. Tokens
// behind the last segment are padding: they attend to nothing.
at::Tensor RunDecoder(const Parameters& parameters, const at::Tensor& tokens,
                      const base::PackedLayout& packed, const at::Tensor& rows,
                      Product product, Recompute recompute);

}  // namespace varalign::model

#endif  // VARALIGN_MODEL_DECODER_H_
