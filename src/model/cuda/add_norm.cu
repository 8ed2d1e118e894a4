#include <algorithm>

#include "base/cuda/rows.cuh"
#include "model/cuda/add_norm.h"
#include "model/cuda/add_parts.h"

namespace varalign::model {
namespace {

using base::BlockSum;
using base::Floats;
using base::kVector;
using base::kWarp;
using base::LaunchError;
using base::Load;
using base::Store;

constexpr int64_t kMaxWidth = 32768;

// A row lies in the registers of a block: each thread holds kVectors times
// eight columns, a block's width apart.
__device__ int64_t Column(int vector) {
  return (threadIdx.x + static_cast<int64_t>(vector) * blockDim.x) * kVector;
}

template <int kVectors>
__global__ void AddNormKernel(AddNormTask task) {
  __shared__ float scratch[kWarp];
  const int64_t first = blockIdx.x * task.width;
  Floats x[kVectors];
  float squares = 0;
#pragma unroll
  for (int v = 0; v < kVectors; ++v) {
    const int64_t column = Column(v);
    if (column >= task.width) continue;
    x[v] = Load(task.residual + first + column);
    if (task.delta != nullptr) {
      const Floats delta = Load(task.delta + first + column);
      for (int i = 0; i < kVector; ++i) {
        x[v].at[i] = base::Rounded(x[v].at[i] + delta.at[i]);
      }
    }
    if (task.x != nullptr) Store(x[v], task.x + first + column);
    for (const float value : x[v].at) squares += value * value;
  }
  const float mean =
      BlockSum(squares, scratch) / static_cast<float>(task.width);
  const float r = rsqrtf(mean + task.eps);
  if (threadIdx.x == 0) task.r[blockIdx.x] = r;
#pragma unroll
  for (int v = 0; v < kVectors; ++v) {
    const int64_t column = Column(v);
    if (column >= task.width) continue;
    Floats y = Load(task.weight + column);
    for (int i = 0; i < kVector; ++i) y.at[i] *= x[v].at[i] * r;
    Store(y, task.y + first + column);
  }
}

// With g = dy * weight: d = dx + r * g - x * r^3 * mean(g * x), and the
// weight's gradient is the sum over rows of dy * x * r.
template <int kVectors>
struct GradRow {
  Floats g[kVectors];
  Floats x[kVectors];
};

template <int kVectors>
__device__ float LoadRow(const AddNormGradTask& task, int64_t row,
                         const Floats (&weight)[kVectors],
                         Floats (&dweight)[kVectors],
                         GradRow<kVectors>& loaded) {
  const float r = task.r[row];
  float sum = 0;
#pragma unroll
  for (int v = 0; v < kVectors; ++v) {
    const int64_t column = Column(v);
    if (column >= task.width) continue;
    loaded.g[v] = Load(task.dy + row * task.width + column);
    loaded.x[v] = Load(task.x + row * task.width + column);
    for (int i = 0; i < kVector; ++i) {
      float& g = loaded.g[v].at[i];
      dweight[v].at[i] += g * loaded.x[v].at[i] * r;
      g *= weight[v].at[i];
      sum += g * loaded.x[v].at[i];
    }
  }
  return sum;
}

template <int kVectors>
__device__ void StoreRow(const AddNormGradTask& task, int64_t row, float mean,
                         const GradRow<kVectors>& loaded) {
  const float r = task.r[row];
  const float factor = r * r * r * mean;
#pragma unroll
  for (int v = 0; v < kVectors; ++v) {
    const int64_t column = Column(v);
    if (column >= task.width) continue;
    const int64_t at = row * task.width + column;
    Floats d{};
    if (task.dx != nullptr) d = Load(task.dx + at);
    for (int i = 0; i < kVector; ++i) {
      d.at[i] += r * loaded.g[v].at[i] - factor * loaded.x[v].at[i];
    }
    Store(d, task.d + at);
  }
}

// One block a part: consecutive rows, one after the other.
template <int kVectors>
__global__ void AddNormGradKernel(AddNormGradTask task, int64_t rows_of_part) {
  __shared__ float scratch[kWarp];
  Floats weight[kVectors];
  Floats dweight[kVectors] = {};
#pragma unroll
  for (int v = 0; v < kVectors; ++v) {
    if (Column(v) < task.width) weight[v] = Load(task.weight + Column(v));
  }
  const int64_t begin = blockIdx.x * rows_of_part;
  const int64_t end = min(begin + rows_of_part, task.rows);
  for (int64_t row = begin; row < end; ++row) {
    GradRow<kVectors> loaded;
    const float sum = LoadRow(task, row, weight, dweight, loaded);
    const float mean = BlockSum(sum, scratch) / static_cast<float>(task.width);
    StoreRow(task, row, mean, loaded);
  }
#pragma unroll
  for (int v = 0; v < kVectors; ++v) {
    if (Column(v) >= task.width) continue;
    Store(dweight[v], task.parts + blockIdx.x * task.width + Column(v));
  }
}

LaunchError CheckWidth(int64_t width) {
  if (width % kVector == 0 && width > 0 && width <= kMaxWidth) return nullptr;
  return "the width of a normed row must be a multiple of 8, at most 32768";
}

unsigned Threads(int64_t width, int vectors) {
  const int64_t columns = kVector * vectors;
  const int64_t threads = (width + columns - 1) / columns;
  return static_cast<unsigned>((threads + kWarp - 1) / kWarp * kWarp);
}

}  // namespace

int64_t AddNormParts(int64_t rows) {
  const int64_t rows_of_part = RowsOfPart(rows);
  return (rows + rows_of_part - 1) / rows_of_part;
}

LaunchError LaunchAddNorm(const AddNormTask& task, base::DeviceStream stream) {
  if (const LaunchError error = CheckWidth(task.width)) return error;
  if (task.rows == 0) return nullptr;
  const auto blocks = static_cast<unsigned>(task.rows);
  if (task.width <= 2048) {
    AddNormKernel<1><<<blocks, Threads(task.width, 1), 0, stream>>>(task);
  } else if (task.width <= 4096) {
    AddNormKernel<2><<<blocks, Threads(task.width, 2), 0, stream>>>(task);
  } else {
    AddNormKernel<4><<<blocks, Threads(task.width, 4), 0, stream>>>(task);
  }
  return base::LastLaunch();
}

LaunchError LaunchAddNormGrad(const AddNormGradTask& task,
                              base::DeviceStream stream) {
  if (const LaunchError error = CheckWidth(task.width)) return error;
  if (task.rows == 0) return nullptr;
  const int64_t rows_of_part = RowsOfPart(task.rows);
  const int64_t parts = AddNormParts(task.rows);
  const auto blocks = static_cast<unsigned>(parts);
  const int64_t width = task.width;
  if (width <= 2048) {
    AddNormGradKernel<1>
        <<<blocks, Threads(width, 1), 0, stream>>>(task, rows_of_part);
  } else if (width <= 4096) {
    AddNormGradKernel<2>
        <<<blocks, Threads(width, 2), 0, stream>>>(task, rows_of_part);
  } else {
    AddNormGradKernel<4>
        <<<blocks, Threads(width, 4), 0, stream>>>(task, rows_of_part);
  }
  if (const LaunchError error = base::LastLaunch()) return error;
  return LaunchAddParts(task.parts, parts, width, width, task.dweight, stream);
}

}  // namespace varalign::model
