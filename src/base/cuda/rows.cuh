// Device code that the kernels share: eight bf16 at a time as float32, and sums
// over the threads of a block in a fixed order.
#ifndef VARALIGN_BASE_CUDA_ROWS_CUH_
#define VARALIGN_BASE_CUDA_ROWS_CUH_

#include <cuda_bf16.h>
#include <cuda_runtime.h>

#include <cstdint>

#include "base/device.h"

namespace varalign::base {

inline constexpr int kWarp = 32;
inline constexpr int kVector = 8;  // bf16 in one access of 16 bytes

struct Floats {
  float at[kVector];
};

// REQUIRES (both): the address is a multiple of 16.
__device__ inline Floats Load(const Bf16* from) {
  const uint4 bits = *reinterpret_cast<const uint4*>(from);
  const auto* pairs = reinterpret_cast<const __nv_bfloat162*>(&bits);
  Floats values;
#pragma unroll
  for (int i = 0; i < kVector / 2; ++i) {
    const float2 pair = __bfloat1622float2(pairs[i]);
    values.at[2 * i] = pair.x;
    values.at[2 * i + 1] = pair.y;
  }
  return values;
}

__device__ inline void Store(const Floats& values, Bf16* to) {
  uint4 bits;
  auto* pairs = reinterpret_cast<__nv_bfloat162*>(&bits);
#pragma unroll
  for (int i = 0; i < kVector / 2; ++i) {
    pairs[i] = __floats2bfloat162_rn(values.at[2 * i], values.at[2 * i + 1]);
  }
  *reinterpret_cast<uint4*>(to) = bits;
}

__device__ inline Floats Load(const float* from) {
  const float4 low = reinterpret_cast<const float4*>(from)[0];
  const float4 high = reinterpret_cast<const float4*>(from)[1];
  return {{low.x, low.y, low.z, low.w, high.x, high.y, high.z, high.w}};
}

__device__ inline void Store(const Floats& values, float* to) {
  const float* v = values.at;
  reinterpret_cast<float4*>(to)[0] = make_float4(v[0], v[1], v[2], v[3]);
  reinterpret_cast<float4*>(to)[1] = make_float4(v[4], v[5], v[6], v[7]);
}

__device__ inline float Rounded(float value) {
  return __bfloat162float(__float2bfloat16_rn(value));
}

// The sum over `lanes` neighbouring threads, a power of two up to a warp, on
// each of them. REQUIRES: the whole warp calls it.
template <typename T>
__device__ inline T LaneSum(T value, int lanes) {
  for (int step = lanes / 2; step > 0; step /= 2) {
    value += __shfl_xor_sync(0xffffffff, value, step);
  }
  return value;
}

// The sum over a block of whole warps, on every thread. `scratch` [32] is
// shared memory, which may be used again for the next sum.
template <typename T>
__device__ inline T BlockSum(T value, T* scratch) {
  value = LaneSum(value, kWarp);
  __syncthreads();  // the last sum has been read
  if (threadIdx.x % kWarp == 0) scratch[threadIdx.x / kWarp] = value;
  __syncthreads();
  T sum = 0;
  for (unsigned warp = 0; warp < blockDim.x / kWarp; ++warp) {
    sum += scratch[warp];
  }
  return sum;
}

inline LaunchError LastLaunch() {
  const cudaError_t error = cudaGetLastError();
  return error == cudaSuccess ? nullptr : cudaGetErrorString(error);
}

inline bool IsAligned(const void* pointer) {
  return reinterpret_cast<uintptr_t>(pointer) % 16 == 0;
}

}  // namespace varalign::base

#endif  // VARALIGN_BASE_CUDA_ROWS_CUH_
