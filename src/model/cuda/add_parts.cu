#include "base/cuda/rows.cuh"
#include "model/cuda/add_parts.h"

namespace varalign::model {
namespace {

using base::kWarp;

// Threads that share a column; each adds every kLanes-th part.
constexpr int kLanes = 16;

__global__ void AddPartsKernel(const float* parts, int64_t num_parts,
                               int64_t stride, int64_t width, float* out) {
  __shared__ float sums[kLanes][kWarp];
  const int64_t column = static_cast<int64_t>(blockIdx.x) * kWarp + threadIdx.x;
  float sum = 0;
  if (column < width) {
    for (int64_t part = threadIdx.y; part < num_parts; part += kLanes) {
      sum += parts[part * stride + column];
    }
  }
  sums[threadIdx.y][threadIdx.x] = sum;
  __syncthreads();
  if (threadIdx.y != 0 || column >= width) return;
  float total = 0;
  for (int lane = 0; lane < kLanes; ++lane) total += sums[lane][threadIdx.x];
  out[column] += total;
}

}  // namespace

base::LaunchError LaunchAddParts(const float* parts, int64_t num_parts,
                                 int64_t stride, int64_t width, float* out,
                                 base::DeviceStream stream) {
  const auto blocks = static_cast<unsigned>((width + kWarp - 1) / kWarp);
  AddPartsKernel<<<blocks, dim3(kWarp, kLanes), 0, stream>>>(
      parts, num_parts, stride, width, out);
  return base::LastLaunch();
}

}  // namespace varalign::model
