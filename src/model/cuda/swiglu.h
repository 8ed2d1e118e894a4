// SwiGLU on the merged gate and up projections, forward and backward, on CUDA.
// The plain path is SwiGluRows in model/row_kernels.h.
//
// The width is a multiple of 8, pointers are aligned to 16 bytes.
#ifndef VARALIGN_MODEL_CUDA_SWIGLU_H_
#define VARALIGN_MODEL_CUDA_SWIGLU_H_

#include <cstdint>

#include "base/device.h"

namespace varalign::model {

// gate_up [T, 2 I], gate first -> out [T, I] = silu(gate) * up.
base::LaunchError LaunchSwiGlu(const base::Bf16* gate_up, int64_t rows,
                               int64_t width, base::Bf16* out,
                               base::DeviceStream stream);

// dout [T, I] -> dgate_up [T, 2 I], which may be gate_up itself.
base::LaunchError LaunchSwiGluGrad(const base::Bf16* gate_up,
                                   const base::Bf16* dout, int64_t rows,
                                   int64_t width, base::Bf16* dgate_up,
                                   base::DeviceStream stream);

}  // namespace varalign::model

#endif  // VARALIGN_MODEL_CUDA_SWIGLU_H_
