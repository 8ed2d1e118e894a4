#include <algorithm>
#include <cmath>

#include "base/cuda/rows.cuh"
#include "optim/cuda/update.h"

namespace varalign::optim {
namespace {

using base::LaunchError;

constexpr int kThreads = 256;
constexpr int kElements = 4;  // of a thread

__global__ void PrepareUpdateKernel(const double* sum_of_squares,
                                    UpdateRule rule, UpdateState* state) {
  const double norm = sqrt(*sum_of_squares) / rule.divisor;
  state->norm = norm;
  state->is_finite = isfinite(norm) ? 1 : 0;
  if (!isfinite(norm)) {
    ++state->skipped;
    return;
  }
  ++state->updates;
  const auto updates = static_cast<double>(state->updates);
  const bool is_clipped = rule.max_norm > 0 && norm > rule.max_norm;
  state->gradient_scale = static_cast<float>(
      (is_clipped ? rule.max_norm / norm : 1) / rule.divisor);
  state->first_correction =
      static_cast<float>(1 / (1 - pow(rule.beta1, updates)));
  state->second_correction =
      static_cast<float>(1 / sqrt(1 - pow(rule.beta2, updates)));
}

struct Element {
  float g;
  float m;
  float v;
  float p;
};

__device__ Element LoadElement(const AdamWTask& task, int64_t at) {
  return {task.gradient[at], task.m[at], task.v[at], task.master[at]};
}

__device__ void Update(const AdamWTask& task, const UpdateState& state,
                       Element& e) {
  e.g *= state.gradient_scale;
  e.m += (1 - task.beta1) * (e.g - e.m);
  e.v = task.beta2 * e.v + (1 - task.beta2) * e.g * e.g;
  e.p -= task.learning_rate * task.weight_decay * e.p;
  e.p -= task.learning_rate * state.first_correction * e.m /
         (sqrtf(e.v) * state.second_correction + task.epsilon);
}

__device__ void StoreElement(const Element& e, int64_t at,
                             const AdamWTask& task) {
  task.m[at] = e.m;
  task.v[at] = e.v;
  task.master[at] = e.p;
  if (task.weight != nullptr) {
    reinterpret_cast<__nv_bfloat16*>(task.weight)[at] =
        __float2bfloat16_rn(e.p);
  }
}

// All loads of a thread come before its first store, so that they are under way
// together.
__global__ void AdamWKernel(AdamWTask task, const UpdateState* on_device) {
  const UpdateState state = *on_device;
  if (state.is_finite == 0) return;
  const int64_t first =
      static_cast<int64_t>(blockIdx.x) * kThreads * kElements + threadIdx.x;
  Element elements[kElements];
#pragma unroll
  for (int i = 0; i < kElements; ++i) {
    const int64_t at = first + i * kThreads;
    if (at < task.count) elements[i] = LoadElement(task, at);
  }
#pragma unroll
  for (int i = 0; i < kElements; ++i) {
    const int64_t at = first + i * kThreads;
    if (at >= task.count) break;
    Update(task, state, elements[i]);
    StoreElement(elements[i], at, task);
  }
}

}  // namespace

LaunchError LaunchPrepareUpdate(const double* sum_of_squares,
                                const UpdateRule& rule, UpdateState* state,
                                base::DeviceStream stream) {
  PrepareUpdateKernel<<<1, 1, 0, stream>>>(sum_of_squares, rule, state);
  return base::LastLaunch();
}

LaunchError LaunchAdamW(const AdamWTask& task, const UpdateState* state,
                        base::DeviceStream stream) {
  if (task.count == 0) return nullptr;
  constexpr int64_t kBlock = kThreads * kElements;
  const auto blocks = static_cast<unsigned>((task.count + kBlock - 1) / kBlock);
  AdamWKernel<<<blocks, kThreads, 0, stream>>>(task, state);
  return base::LastLaunch();
}

}  // namespace varalign::optim
