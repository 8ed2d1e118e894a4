// Residual sum with RMSNorm, and SwiGLU.
#ifndef VARALIGN_MODEL_ELEMENTWISE_H_
#define VARALIGN_MODEL_ELEMENTWISE_H_

#include <ATen/core/Tensor.h>

#include <utility>

namespace varalign::model {

// x [T, H] = residual + delta, and y [T, H] = x / sqrt(mean(x^2) + eps) *
// weight.
using NormedSum = std::pair<at::Tensor, at::Tensor>;

// delta may be undefined: x is then a copy of residual. All [T, H] contiguous,
// weight [H].
NormedSum AddNorm(const at::Tensor& residual, const at::Tensor& delta,
                  const at::Tensor& weight, double eps);

// gate_up [T, 2 I] -> silu(gate) * up [T, I].
at::Tensor SwiGlu(const at::Tensor& gate_up);

}  // namespace varalign::model

#endif  // VARALIGN_MODEL_ELEMENTWISE_H_
