// The decoder's layers, with the matrix product left open.
#ifndef VARALIGN_MODEL_DECODER_H_
#define VARALIGN_MODEL_DECODER_H_

#include <ATen/core/Tensor.h>

#include <cstdint>
#include <span>

#include "model/parameters.h"

namespace varalign::model {

using Product = at::Tensor (*)(const at::Tensor& x,
                               const LinearParameters& parameters);

// Forward (model/forward.h) with `product` for all matrix products. Tokens
// behind the last sequence are padding: they attend to nothing.
at::Tensor RunDecoder(const Parameters& parameters, const at::Tensor& tokens,
                      std::span<const int64_t> cu_seqlens,
                      const at::Tensor& rows, Product product);

}  // namespace varalign::model

#endif  // VARALIGN_MODEL_DECODER_H_
