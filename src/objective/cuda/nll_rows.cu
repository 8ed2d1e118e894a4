#include <cmath>
#include <limits>

#include "base/cuda/rows.cuh"
#include "objective/cuda/nll_rows.h"

namespace varalign::objective {
namespace {

using base::Bf16;
using base::Floats;
using base::kVector;
using base::kWarp;
using base::LaunchError;
using base::Load;
using base::Store;

constexpr int kThreads = 512;

// sum over values of exp(value) = exp(top) * sum. One pass finds both.
struct ExpSum {
  float top = -INFINITY;
  float sum = 0;
};

__device__ ExpSum Joined(const ExpSum& a, const ExpSum& b) {
  if (a.top == -INFINITY) return b;
  if (b.top == -INFINITY) return a;
  const float top = fmaxf(a.top, b.top);
  return {top, a.sum * __expf(a.top - top) + b.sum * __expf(b.top - top)};
}

// Eight at a time: one rescaling for all of them.
__device__ void Take(const Floats& values, ExpSum& all) {
  float top = all.top;
#pragma unroll
  for (const float value : values.at) top = fmaxf(top, value);
  if (top == -INFINITY) return;
  float sum = all.sum * __expf(all.top - top);
#pragma unroll
  for (const float value : values.at) sum += __expf(value - top);
  all = {top, sum};
}

// Of the whole block, on every thread, joined in a fixed order.
__device__ ExpSum BlockJoined(ExpSum own, ExpSum* scratch) {
  for (int step = kWarp / 2; step > 0; step /= 2) {
    own = Joined(own, {__shfl_xor_sync(0xffffffff, own.top, step),
                       __shfl_xor_sync(0xffffffff, own.sum, step)});
  }
  if (threadIdx.x % kWarp == 0) scratch[threadIdx.x / kWarp] = own;
  __syncthreads();
  ExpSum all = scratch[0];
  for (int warp = 1; warp < kThreads / kWarp; ++warp) {
    all = Joined(all, scratch[warp]);
  }
  return all;
}

// The row's vector at `at`; -inf stands behind its end.
__device__ Floats LoadLogits(const Bf16* row, int64_t at, int64_t vocabulary) {
  Floats values = Load(row + at);
  if (at + kVector > vocabulary) {
    for (int i = 0; i < kVector; ++i) {
      if (at + i >= vocabulary) values.at[i] = -INFINITY;
    }
  }
  return values;
}

__device__ float LogSumExp(const Bf16* row, int64_t vocabulary,
                           ExpSum* scratch) {
  ExpSum own;
  for (int64_t at = threadIdx.x * kVector; at < vocabulary;
       at += kThreads * kVector) {
    Take(LoadLogits(row, at, vocabulary), own);
  }
  const ExpSum all = BlockJoined(own, scratch);
  return all.top + logf(all.sum);
}

// What stands behind the row's end in its last vector becomes zero.
__device__ void ToGradient(Bf16* row, int64_t vocabulary, int64_t target,
                           float lse, float weight) {
  for (int64_t at = threadIdx.x * kVector; at < vocabulary;
       at += kThreads * kVector) {
    Floats values = LoadLogits(row, at, vocabulary);
#pragma unroll
    for (int i = 0; i < kVector; ++i) {
      const float onehot = at + i == target ? 1 : 0;
      values.at[i] = weight * (__expf(values.at[i] - lse) - onehot);
    }
    Store(values, row + at);
  }
}

// One block a row.
__global__ void NllRowsKernel(NllRowsTask task) {
  __shared__ ExpSum scratch[kThreads / kWarp];
  Bf16* row = task.logits + blockIdx.x * task.stride;
  const int64_t target = task.targets[blockIdx.x];
  const float lse = LogSumExp(row, task.vocabulary, scratch);
  if (threadIdx.x == 0) {
    float nll = NAN;
    if (target >= 0 && target < task.vocabulary) {
      nll = lse - Load(row + target / kVector * kVector).at[target % kVector];
    }
    task.nll[blockIdx.x] = nll;
    if (task.lse != nullptr) task.lse[blockIdx.x] = lse;
  }
  if (task.weights == nullptr) return;
  __syncthreads();  // the target's logit has been read
  ToGradient(row, task.vocabulary, target, lse, task.weights[blockIdx.x]);
}

}  // namespace

LaunchError LaunchNllRows(const NllRowsTask& task, base::DeviceStream stream) {
  if (task.stride % kVector != 0 || task.stride < task.vocabulary ||
      task.vocabulary <= 0 || !base::IsAligned(task.logits)) {
    return "rows of logits must be a multiple of 8 apart and hold a vocabulary";
  }
  if (task.rows == 0) return nullptr;
  NllRowsKernel<<<static_cast<unsigned>(task.rows), kThreads, 0, stream>>>(
      task);
  return base::LastLaunch();
}

}  // namespace varalign::objective
