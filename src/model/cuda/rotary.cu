#include <algorithm>

#include "base/cuda/rows.cuh"
#include "model/cuda/add_parts.h"
#include "model/cuda/rotary.h"

namespace varalign::model {
namespace {

using base::Bf16;
using base::Floats;
using base::kVector;
using base::LaneSum;
using base::LaunchError;
using base::Load;
using base::Store;

constexpr int kThreads = 256;

// A head is held by dim / 16 neighbouring threads: eight elements of its first
// half in `low` and those they turn with in `high`.
struct Head {
  Floats low;
  Floats high;
};

__device__ Head LoadHead(const Bf16* head, int dim, int lane) {
  return {Load(head + lane * kVector), Load(head + dim / 2 + lane * kVector)};
}

__device__ void StoreHead(const Head& values, int dim, int lane, Bf16* head) {
  Store(values.low, head + lane * kVector);
  Store(values.high, head + dim / 2 + lane * kVector);
}

// The elementwise product, summed over the head.
__device__ float Dot(const Head& a, const Head& b, int lanes) {
  float sum = 0;
#pragma unroll
  for (int i = 0; i < kVector; ++i) {
    sum += a.low.at[i] * b.low.at[i] + a.high.at[i] * b.high.at[i];
  }
  return LaneSum(sum, lanes);
}

// direction 1 turns forward, -1 back.
__device__ void Turn(const RotaryShape& shape, int64_t row, int lane,
                     float direction, Head& head) {
  const int64_t at =
      static_cast<int64_t>(shape.positions[row]) * (shape.dim / 2) +
      lane * kVector;
  const Floats cos = Load(shape.cos + at);
  const Floats sin = Load(shape.sin + at);
#pragma unroll
  for (int i = 0; i < kVector; ++i) {
    const float low = head.low.at[i];
    const float high = head.high.at[i];
    const float s = direction * sin.at[i];
    head.low.at[i] = low * cos.at[i] - high * s;
    head.high.at[i] = high * cos.at[i] + low * s;
  }
}

__device__ void Multiply(const Head& by, float factor, Head& head) {
#pragma unroll
  for (int i = 0; i < kVector; ++i) {
    head.low.at[i] *= by.low.at[i] * factor;
    head.high.at[i] *= by.high.at[i] * factor;
  }
}

// Where a thread stands: which head of which row, and which part of it.
struct Place {
  int64_t row;
  int head;
  int lane;
  bool is_inside;
};

__device__ Place PlaceOf(const RotaryShape& shape, int64_t item, int64_t end) {
  const int heads = shape.heads + shape.kv_heads;
  const bool is_inside = item < end;
  const int64_t inside = is_inside ? item : end - 1;
  return {inside / heads, static_cast<int>(inside % heads),
          static_cast<int>(threadIdx.x) % (shape.dim / 16), is_inside};
}

__device__ const Bf16* WeightOf(const RotaryShape& shape, const HeadNorm& norm,
                                int head) {
  return head < shape.heads ? norm.query : norm.key;
}

// One group of threads a head. Threads past the end do the last head's work
// without storing it, since a sum needs the whole warp.
template <bool kHasNorm>
__global__ void RotaryKernel(RotaryTask task) {
  const RotaryShape& shape = task.shape;
  const int heads = shape.heads + shape.kv_heads;
  const int lanes = shape.dim / 16;
  const int64_t item =
      (static_cast<int64_t>(blockIdx.x) * kThreads + threadIdx.x) / lanes;
  const Place at = PlaceOf(shape, item, shape.rows * heads);
  Head head = LoadHead(task.in + at.row * task.in_stride + at.head * shape.dim,
                       shape.dim, at.lane);
  if constexpr (kHasNorm) {
    const float mean = Dot(head, head, lanes) / static_cast<float>(shape.dim);
    const float r = rsqrtf(mean + task.norm.eps);
    Multiply(LoadHead(WeightOf(shape, task.norm, at.head), shape.dim, at.lane),
             r, head);
    if (at.is_inside && at.lane == 0) {
      task.norm.r[at.row * heads + at.head] = r;
    }
  }
  Turn(shape, at.row, at.lane, 1, head);
  if (!at.is_inside) return;
  StoreHead(head, shape.dim, at.lane,
            task.out + at.row * task.out_stride + at.head * shape.dim);
}

__device__ void Add(const Head& part, Head& sum) {
#pragma unroll
  for (int i = 0; i < kVector; ++i) {
    sum.low.at[i] += part.low.at[i];
    sum.high.at[i] += part.high.at[i];
  }
}

// The gradient through a head's norm; `head` is that of its output, and comes
// back as that of its input. Returns the head's part of its weight's gradient.
__device__ Head NormGrad(const RotaryGradTask& task, const Place& at,
                         Head& head) {
  const RotaryShape& shape = task.shape;
  const int heads = shape.heads + shape.kv_heads;
  const float r = task.norm.r[at.row * heads + at.head];
  const Head x =
      LoadHead(task.in + at.row * task.in_stride + at.head * shape.dim,
               shape.dim, at.lane);
  Head dweight = head;
  Multiply(x, r, dweight);
  Multiply(LoadHead(WeightOf(shape, task.norm, at.head), shape.dim, at.lane), 1,
           head);
  const float mean =
      Dot(head, x, shape.dim / 16) / static_cast<float>(shape.dim);
  const float factor = r * r * r * mean;
#pragma unroll
  for (int i = 0; i < kVector; ++i) {
    head.low.at[i] = r * head.low.at[i] - factor * x.low.at[i];
    head.high.at[i] = r * head.high.at[i] - factor * x.high.at[i];
  }
  return dweight;
}

// The block's sum of `dweight` [dim], over its groups of threads in order.
__device__ void StorePart(const Head& dweight, int dim, float* sums,
                          float* part) {
  const int lanes = dim / 16;
  const int group = static_cast<int>(threadIdx.x) / lanes;
  const int lane = static_cast<int>(threadIdx.x) % lanes;
  __syncthreads();  // the last sums have been read
  Store(dweight.low, sums + group * dim + lane * kVector);
  Store(dweight.high, sums + group * dim + dim / 2 + lane * kVector);
  __syncthreads();
  for (int column = static_cast<int>(threadIdx.x); column < dim;
       column += kThreads) {
    float sum = 0;
    for (int g = 0; g < kThreads / lanes; ++g) sum += sums[g * dim + column];
    part[column] = sum;
  }
}

// One block a part: consecutive rows, whose heads it takes in turn.
template <bool kHasNorm>
__global__ void RotaryGradKernel(RotaryGradTask task, int64_t rows_of_part) {
  __shared__ __align__(16) float sums[kHasNorm ? kThreads * 16 : 1];
  const RotaryShape& shape = task.shape;
  const int heads = shape.heads + shape.kv_heads;
  const int groups = kThreads / (shape.dim / 16);
  const int group = static_cast<int>(threadIdx.x) / (shape.dim / 16);
  const int64_t first = blockIdx.x * rows_of_part * heads;
  const int64_t end = min(first + rows_of_part * heads, shape.rows * heads);
  Head dquery{};
  Head dkey{};
  for (int64_t item = first + group; item - group < end; item += groups) {
    const Place at = PlaceOf(shape, item, end);
    Head head =
        LoadHead(task.dout + at.row * task.dout_stride + at.head * shape.dim,
                 shape.dim, at.lane);
    Turn(shape, at.row, at.lane, -1, head);
    if constexpr (kHasNorm) {
      const Head dweight = NormGrad(task, at, head);
      if (at.is_inside && at.head < shape.heads) Add(dweight, dquery);
      if (at.is_inside && at.head >= shape.heads) Add(dweight, dkey);
    }
    if (!at.is_inside) continue;
    StoreHead(head, shape.dim, at.lane,
              task.din + at.row * task.din_stride + at.head * shape.dim);
  }
  if constexpr (kHasNorm) {
    float* part = task.parts + blockIdx.x * 2 * shape.dim;
    StorePart(dquery, shape.dim, sums, part);
    StorePart(dkey, shape.dim, sums, part + shape.dim);
  }
}

LaunchError CheckShape(const RotaryShape& shape) {
  const int dim = shape.dim;
  if (dim == 16 || dim == 32 || dim == 64 || dim == 128 || dim == 256) {
    return nullptr;
  }
  return "the size of a rotated head must be 16, 32, 64, 128 or 256";
}

}  // namespace

int64_t RotaryParts(int64_t rows) {
  const int64_t rows_of_part = RowsOfPart(rows);
  return (rows + rows_of_part - 1) / rows_of_part;
}

LaunchError LaunchRotary(const RotaryTask& task, base::DeviceStream stream) {
  const RotaryShape& shape = task.shape;
  if (const LaunchError error = CheckShape(shape)) return error;
  if (shape.rows == 0) return nullptr;
  const int64_t threads =
      shape.rows * (shape.heads + shape.kv_heads) * (shape.dim / 16);
  const auto blocks =
      static_cast<unsigned>((threads + kThreads - 1) / kThreads);
  if (task.norm.query != nullptr) {
    RotaryKernel<true><<<blocks, kThreads, 0, stream>>>(task);
  } else {
    RotaryKernel<false><<<blocks, kThreads, 0, stream>>>(task);
  }
  return base::LastLaunch();
}

LaunchError LaunchRotaryGrad(const RotaryGradTask& task,
                             base::DeviceStream stream) {
  const RotaryShape& shape = task.shape;
  if (const LaunchError error = CheckShape(shape)) return error;
  if (shape.rows == 0) return nullptr;
  const int64_t rows_of_part = RowsOfPart(shape.rows);
  const int64_t parts = RotaryParts(shape.rows);
  const auto blocks = static_cast<unsigned>(parts);
  if (task.norm.query == nullptr) {
    RotaryGradKernel<false>
        <<<blocks, kThreads, 0, stream>>>(task, rows_of_part);
    return base::LastLaunch();
  }
  RotaryGradKernel<true><<<blocks, kThreads, 0, stream>>>(task, rows_of_part);
  if (const LaunchError error = base::LastLaunch()) return error;
  const int64_t dim = shape.dim;
  if (const LaunchError error = LaunchAddParts(task.parts, parts, 2 * dim, dim,
                                               task.dquery, stream)) {
    return error;
  }
  return LaunchAddParts(task.parts + dim, parts, 2 * dim, dim, task.dkey,
                        stream);
}

}  // namespace varalign::model
