#include "model/elementwise.h"

#include <ATen/ATen.h>
#include <ATen/Dispatch.h>
#include <torch/csrc/autograd/custom_function.h>

#include <algorithm>
#include <optional>

#include "model/parallel.h"
#include "model/row_kernels.h"
#include "model/wide.h"

namespace varalign::model {
namespace {

using torch::autograd::AutogradContext;
using torch::autograd::variable_list;

constexpr int64_t kGrainRows = 16;
// Rows whose part of a norm's gradient is summed on its own; parts are added in
// order, so the sum does not depend on the number of threads.
constexpr int64_t kPartRows = 128;

template <typename T>
const T* DataOrNull(const at::Tensor& tensor) {
  return tensor.defined() ? tensor.const_data_ptr<T>() : nullptr;
}

template <typename T>
void RunNorm(const at::Tensor& residual, const at::Tensor& delta,
             const at::Tensor& weight, double eps, NormedSum& sum,
             at::Tensor& r) {
  const NormForward<T> task{.residual = residual.const_data_ptr<T>(),
                            .delta = DataOrNull<T>(delta),
                            .weight = weight.const_data_ptr<T>(),
                            .x = sum.first.data_ptr<T>(),
                            .y = sum.second.data_ptr<T>(),
                            .r = r.data_ptr<T>(),
                            .width = residual.size(1),
                            .eps = static_cast<T>(eps)};
  ParallelFor(residual.size(0), kGrainRows, [&](int64_t begin, int64_t end) {
    AddNormRows(task, begin, end);
  });
}

template <typename T>
void RunNormGrad(const NormBackward<T>& task, int64_t rows,
                 const at::Tensor& parts) {
  T* sums = parts.data_ptr<T>();
  ParallelFor(parts.size(0), 1, [&](int64_t begin, int64_t end) {
    for (int64_t part = begin; part < end; ++part) {
      const int64_t first = part * kPartRows;
      AddNormGradRows(task, first, std::min(first + kPartRows, rows),
                      sums + part * task.width);
    }
  });
}

class AddNormFunction : public torch::autograd::Function<AddNormFunction> {
 public:
  static variable_list forward(AutogradContext* ctx, const at::Tensor& residual,
                               const std::optional<at::Tensor>& delta,
                               const at::Tensor& weight, double eps) {
    // A sum is rounded before it is normed, as what is formed again
    // (model/recompute.h) is made of rounded numbers.
    const bool is_rounded = residual.scalar_type() == at::kBFloat16;
    const at::Tensor added = delta.value_or(at::Tensor());
    const at::Tensor wide =
        Wide(is_rounded && added.defined() ? residual + added : residual);
    NormedSum sum{at::empty_like(wide), at::empty_like(wide)};
    at::Tensor r = at::empty({wide.size(0)}, wide.options());
    AT_DISPATCH_FLOATING_TYPES(wide.scalar_type(), "AddNorm", [&] {
      RunNorm<scalar_t>(wide, is_rounded ? at::Tensor() : added, Wide(weight),
                        eps, sum, r);
    });
    const at::Tensor x = RoundedLike(residual, sum.first);
    ctx->save_for_backward({x, r, weight});
    ctx->set_materialize_grads(false);
    ctx->saved_data["has_delta"] = delta.has_value();
    return {x, RoundedLike(residual, sum.second)};
  }

  // The last norm's x has no user: its gradient is undefined.
  static variable_list backward(AutogradContext* ctx, variable_list grads) {
    const variable_list saved = ctx->get_saved_variables();
    const at::Tensor x = Wide(saved[0]), weight = Wide(saved[2]);
    const at::Tensor dx =
        Wide(grads[0].defined() ? grads[0].contiguous() : grads[0]);
    const at::Tensor dy =
        grads[1].defined() ? Wide(grads[1].contiguous()) : at::zeros_like(x);
    at::Tensor d = at::empty_like(x);
    at::Tensor parts = at::zeros(
        {(x.size(0) + kPartRows - 1) / kPartRows, x.size(1)}, x.options());
    AT_DISPATCH_FLOATING_TYPES(x.scalar_type(), "AddNormGrad", [&] {
      RunNormGrad<scalar_t>({.dx = DataOrNull<scalar_t>(dx),
                             .dy = dy.const_data_ptr<scalar_t>(),
                             .x = x.const_data_ptr<scalar_t>(),
                             .r = saved[1].const_data_ptr<scalar_t>(),
                             .weight = weight.const_data_ptr<scalar_t>(),
                             .d = d.data_ptr<scalar_t>(),
                             .width = x.size(1)},
                            x.size(0), parts);
    });
    at::Tensor dweight;
    if (at::Tensor& sum = saved[2].mutable_grad(); sum.defined()) {
      sum.add_(parts.sum(0));
    } else if (saved[2].requires_grad()) {
      dweight = RoundedLike(saved[2], parts.sum(0));
    }
    const bool has_delta = ctx->saved_data["has_delta"].toBool();
    d = RoundedLike(saved[0], d);
    return {d, has_delta ? d : at::Tensor(), dweight, at::Tensor()};
  }
};

class SwiGluFunction : public torch::autograd::Function<SwiGluFunction> {
 public:
  static at::Tensor forward(AutogradContext* ctx, const at::Tensor& gate_up) {
    const int64_t width = gate_up.size(1) / 2;
    const at::Tensor wide = Wide(gate_up);
    at::Tensor out = at::empty({wide.size(0), width}, wide.options());
    AT_DISPATCH_FLOATING_TYPES(wide.scalar_type(), "SwiGlu", [&] {
      const auto* in = wide.const_data_ptr<scalar_t>();
      auto* result = out.data_ptr<scalar_t>();
      ParallelFor(out.size(0), kGrainRows, [&](int64_t begin, int64_t end) {
        SwiGluRows(in, width, begin, end, result);
      });
    });
    ctx->save_for_backward({gate_up});
    return RoundedLike(gate_up, out);
  }

  static variable_list backward(AutogradContext* ctx, variable_list grads) {
    const at::Tensor saved = ctx->get_saved_variables()[0];
    const at::Tensor gate_up = Wide(saved);
    const at::Tensor dout = Wide(grads[0].contiguous());
    at::Tensor dgate_up = at::empty_like(gate_up);
    AT_DISPATCH_FLOATING_TYPES(gate_up.scalar_type(), "SwiGluGrad", [&] {
      const auto* in = gate_up.const_data_ptr<scalar_t>();
      const auto* dh = dout.const_data_ptr<scalar_t>();
      auto* result = dgate_up.data_ptr<scalar_t>();
      ParallelFor(dout.size(0), kGrainRows, [&](int64_t begin, int64_t end) {
        SwiGluGradRows(in, dh, dout.size(1), begin, end, result);
      });
    });
    return {RoundedLike(saved, dgate_up)};
  }
};

}  // namespace

NormedSum AddNorm(const at::Tensor& residual, const at::Tensor& delta,
                  const at::Tensor& weight, double eps) {
  const variable_list outputs = AddNormFunction::apply(
      residual, delta.defined() ? std::optional(delta) : std::nullopt, weight,
      eps);
  return {outputs[0], outputs[1]};
}

at::Tensor SwiGlu(const at::Tensor& gate_up) {
  return SwiGluFunction::apply(gate_up);
}

}  // namespace varalign::model
