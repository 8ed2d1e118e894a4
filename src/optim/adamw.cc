#include "optim/adamw.h"

#include <ATen/ATen.h>
#include <c10/core/GradMode.h>

#include <algorithm>
#include <cmath>

namespace varalign::optim {
namespace {

// Elements updated at once: five arrays of this size fit a second-level cache
// and still give every thread work.
constexpr int64_t kBlock = 1 << 17;

// A run of the slice with one decay.
struct Stretch {
  int64_t begin = 0;
  int64_t end = 0;
  double weight_decay = 0;
};

std::vector<Stretch> Stretches(const AdamWState& state, double weight_decay) {
  std::vector<Stretch> stretches;
  int64_t at = 0;
  const auto extend = [&](int64_t to, double decay) {
    if (to > at) stretches.push_back({at, to, decay});
    at = std::max(at, to);
  };
  if (weight_decay != 0) {
    for (const auto& [begin, end] : state.decayed) {
      extend(begin, 0);
      extend(end, weight_decay);
    }
  }
  extend(state.end - state.begin, 0);
  return stretches;
}

// [begin, end) of the slice, all of one decay.
void Update(const at::Tensor& scaled, const at::Tensor& step, int64_t begin,
            double learning_rate, double weight_decay,
            const AdamWOptions& options, AdamWState& state) {
  const int64_t count = scaled.size(0);
  const auto part = [&](const at::Tensor& tensor) {
    return tensor.narrow(0, begin, count);
  };
  at::_fused_adamw_({part(state.master)}, {scaled}, {part(state.m)},
                    {part(state.v)}, /*max_exp_avg_sqs=*/{}, {step},
                    learning_rate, options.beta1, options.beta2, weight_decay,
                    options.epsilon, /*amsgrad=*/false, /*maximize=*/false);
}

}  // namespace

AdamWState MakeAdamWState(
    const at::Tensor& flat, int64_t begin, int64_t end,
    const std::vector<std::pair<int64_t, int64_t>>& decayed) {
  const c10::NoGradGuard no_grad;
  AdamWState state;
  state.begin = begin;
  state.end = end;
  const auto dtype =
      flat.scalar_type() == at::kDouble ? at::kDouble : at::kFloat;
  state.master = flat.detach().narrow(0, begin, end - begin).to(dtype);
  state.m = at::zeros_like(state.master);
  state.v = at::zeros_like(state.master);
  for (const auto& [from, to] : decayed) {
    const int64_t first = std::max(from, begin);
    const int64_t last = std::min(to, end);
    if (first < last) state.decayed.emplace_back(first - begin, last - begin);
  }
  std::sort(state.decayed.begin(), state.decayed.end());
  return state;
}

void AdamWStep(const at::Tensor& gradient, double scale, double learning_rate,
               const AdamWOptions& options, AdamWState& state) {
  const c10::NoGradGuard no_grad;
  ++state.updates;
  // A float64 step counts exactly for longer than any run.
  const at::Tensor step = at::scalar_tensor(
      static_cast<double>(state.updates),
      at::TensorOptions().dtype(at::kDouble).device(state.master.device()));
  const int64_t size = state.end - state.begin;
  // A device is served by few large kernels, the host by its cache.
  const int64_t block = state.master.device().is_cpu() ? kBlock : size;
  at::Tensor scaled =
      at::empty({std::min(block, size)}, state.master.options());
  for (const Stretch& stretch : Stretches(state, options.weight_decay)) {
    for (int64_t at = stretch.begin; at < stretch.end; at += block) {
      const int64_t count = std::min(block, stretch.end - at);
      at::Tensor part = scaled.narrow(0, 0, count);
      at::mul_out(part, gradient.narrow(0, at, count),
                  at::scalar_tensor(scale, scaled.options()));
      Update(part, step, at, learning_rate, stretch.weight_decay, options,
             state);
    }
  }
}

void WriteMaster(const AdamWState& state, at::Tensor& flat) {
  if (flat.scalar_type() == state.master.scalar_type()) return;
  const c10::NoGradGuard no_grad;
  flat.narrow(0, state.begin, state.end - state.begin).copy_(state.master);
}

double ClipFactor(double norm, double max_norm) {
  if (max_norm == 0) return std::isnan(norm) ? norm : 1;
  const double factor = max_norm / norm;
  return factor > 1 ? 1 : factor;
}

}  // namespace varalign::optim
