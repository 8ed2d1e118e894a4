#include "base/cuda/rows.cuh"
#include "optim/cuda/update.h"

namespace varalign::optim {
namespace {

using base::kWarp;
using base::LaunchError;

constexpr int kThreads = 256;

// Each block sums every kSquareParts-th run of kThreads elements.
__global__ void SquaresKernel(const float* gradient, int64_t count,
                              double* partials) {
  __shared__ double scratch[kWarp];
  double sum = 0;
  for (int64_t at = static_cast<int64_t>(blockIdx.x) * kThreads + threadIdx.x;
       at < count; at += static_cast<int64_t>(kSquareParts) * kThreads) {
    const double value = gradient[at];
    sum += value * value;
  }
  sum = base::BlockSum(sum, scratch);
  if (threadIdx.x == 0) partials[blockIdx.x] = sum;
}

__global__ void SumPartialsKernel(const double* partials, double* sum) {
  __shared__ double scratch[kWarp];
  const double total = base::BlockSum(partials[threadIdx.x], scratch);
  if (threadIdx.x == 0) *sum = total;
}

}  // namespace

LaunchError LaunchSumOfSquares(const float* gradient, int64_t count,
                               double* partials, double* sum,
                               base::DeviceStream stream) {
  SquaresKernel<<<kSquareParts, kThreads, 0, stream>>>(gradient, count,
                                                       partials);
  if (const LaunchError error = base::LastLaunch()) return error;
  SumPartialsKernel<<<1, kSquareParts, 0, stream>>>(partials, sum);
  return base::LastLaunch();
}

}  // namespace varalign::optim
