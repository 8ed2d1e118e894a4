#include "base/cuda/rows.cuh"
#include "model/cuda/swiglu.h"

namespace varalign::model {
namespace {

using base::Bf16;
using base::Floats;
using base::kVector;
using base::LaunchError;
using base::Load;
using base::Store;

constexpr unsigned kThreads = 256;

__device__ float Sigmoid(float value) { return 1 / (1 + __expf(-value)); }

// One block a row.
__global__ void SwiGluKernel(const Bf16* gate_up, int64_t width, Bf16* out) {
  const Bf16* gates = gate_up + blockIdx.x * 2 * width;
  Bf16* results = out + blockIdx.x * width;
  for (int64_t at = threadIdx.x * kVector; at < width;
       at += kThreads * kVector) {
    const Floats gate = Load(gates + at);
    Floats up = Load(gates + width + at);
#pragma unroll
    for (int i = 0; i < kVector; ++i) {
      up.at[i] *= gate.at[i] * Sigmoid(gate.at[i]);
    }
    Store(up, results + at);
  }
}

// With s = sigmoid(gate): dgate = dout * up * s * (1 + gate * (1 - s)), and
// dup = dout * gate * s.
__global__ void SwiGluGradKernel(const Bf16* gate_up, const Bf16* dout,
                                 int64_t width, Bf16* dgate_up) {
  const int64_t row = blockIdx.x * 2 * width;
  for (int64_t at = threadIdx.x * kVector; at < width;
       at += kThreads * kVector) {
    Floats gate = Load(gate_up + row + at);
    Floats up = Load(gate_up + row + width + at);
    const Floats gradient = Load(dout + blockIdx.x * width + at);
#pragma unroll
    for (int i = 0; i < kVector; ++i) {
      const float s = Sigmoid(gate.at[i]);
      const float dgate =
          gradient.at[i] * up.at[i] * s * (1 + gate.at[i] * (1 - s));
      up.at[i] = gradient.at[i] * gate.at[i] * s;
      gate.at[i] = dgate;
    }
    Store(gate, dgate_up + row + at);
    Store(up, dgate_up + row + width + at);
  }
}

LaunchError CheckWidth(int64_t width) {
  if (width > 0 && width % kVector == 0) return nullptr;
  return "the width of SwiGLU must be a multiple of 8";
}

}  // namespace

LaunchError LaunchSwiGlu(const Bf16* gate_up, int64_t rows, int64_t width,
                         Bf16* out, base::DeviceStream stream) {
  if (const LaunchError error = CheckWidth(width)) return error;
  if (rows == 0) return nullptr;
  SwiGluKernel<<<static_cast<unsigned>(rows), kThreads, 0, stream>>>(
      gate_up, width, out);
  return base::LastLaunch();
}

LaunchError LaunchSwiGluGrad(const Bf16* gate_up, const Bf16* dout,
                             int64_t rows, int64_t width, Bf16* dgate_up,
                             base::DeviceStream stream) {
  if (const LaunchError error = CheckWidth(width)) return error;
  if (rows == 0) return nullptr;
  SwiGluGradKernel<<<static_cast<unsigned>(rows), kThreads, 0, stream>>>(
      gate_up, dout, width, dgate_up);
  return base::LastLaunch();
}

}  // namespace varalign::model
