// Residual sum with RMSNorm, forward and backward, on CUDA. The plain path is
// AddNormRows in model/row_kernels.h.
//
// Shapes: T rows of H columns, contiguous; H a multiple of 8 and at most 32768;
// pointers of bf16 rows aligned to 16 bytes.
#ifndef VARALIGN_MODEL_CUDA_ADD_NORM_H_
#define VARALIGN_MODEL_CUDA_ADD_NORM_H_

#include <cstdint>

#include "base/device.h"

namespace varalign::model {

// x = residual + delta, rounded to bf16; r = 1 / sqrt(mean(x^2) + eps) of the
// rounded x; y = x * r * weight, computed in float32 and rounded once.
struct AddNormTask {
  const base::Bf16* residual = nullptr;  // [T, H]
  const base::Bf16* delta = nullptr;     // [T, H]; null: x is the residual
  const base::Bf16* weight = nullptr;    // [H]
  base::Bf16* x = nullptr;  // [T, H]; may be the residual; null: not kept
  base::Bf16* y = nullptr;  // [T, H]
  float* r = nullptr;       // [T]
  int64_t rows = 0;
  int64_t width = 0;
  float eps = 0;
};
base::LaunchError LaunchAddNorm(const AddNormTask& task,
                                base::DeviceStream stream);

// The gradient of x: that of its other use, dx, and that through y. Both
// residual and delta have it.
struct AddNormGradTask {
  const base::Bf16* dx = nullptr;      // [T, H]; null: x has no other use
  const base::Bf16* dy = nullptr;      // [T, H]
  const base::Bf16* x = nullptr;       // [T, H], of the forward pass
  const float* r = nullptr;            // [T], of the forward pass
  const base::Bf16* weight = nullptr;  // [H]
  base::Bf16* d = nullptr;             // [T, H]; may be dx or dy
  float* parts = nullptr;              // [AddNormParts(T), H], scratch
  float* dweight = nullptr;            // [H]: its gradient is added
  int64_t rows = 0;
  int64_t width = 0;
};
int64_t AddNormParts(int64_t rows);
base::LaunchError LaunchAddNormGrad(const AddNormGradTask& task,
                                    base::DeviceStream stream);

}  // namespace varalign::model

#endif  // VARALIGN_MODEL_CUDA_ADD_NORM_H_
