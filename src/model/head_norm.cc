#include "model/head_norm.h"

#include <ATen/ATen.h>
#include <ATen/Dispatch.h>
#include <torch/csrc/autograd/custom_function.h>

#include <algorithm>

#include "model/head_norm_kernel.h"
#include "model/parallel.h"
#include "model/wide.h"

namespace varalign::model {
namespace {

using torch::autograd::AutogradContext;
using torch::autograd::variable_list;

constexpr int64_t kGrainRows = 32;
// Rows whose part of the norms' gradients is summed on its own; parts are added
// in order, so the sum does not depend on the number of threads.
constexpr int64_t kPartRows = 128;

HeadCounts Heads(const at::Tensor& qkv, const at::Tensor& norm,
                 int64_t kv_heads) {
  const int64_t dim = norm.size(0);
  const int64_t all = qkv.size(1) / dim;
  return {
      .queries = all - 2 * kv_heads, .keys = kv_heads, .all = all, .dim = dim};
}

template <typename T>
void RunGrad(const HeadNormBackward<T>& task, int64_t rows,
             const at::Tensor& parts) {
  T* sums = parts.data_ptr<T>();
  const int64_t width = 2 * task.heads.dim;
  ParallelFor(parts.size(0), 1, [&](int64_t begin, int64_t end) {
    for (int64_t part = begin; part < end; ++part) {
      const int64_t first = part * kPartRows;
      HeadNormGradRows(task, first, std::min(first + kPartRows, rows),
                       sums + part * width);
    }
  });
}

// `gradient` for the engine, unless the parameter has memory that it is added
// to here.
at::Tensor AddUp(const at::Tensor& parameter, const at::Tensor& gradient) {
  if (at::Tensor& sum = parameter.mutable_grad(); sum.defined()) {
    sum.add_(gradient);
    return {};
  }
  return parameter.requires_grad() ? RoundedLike(parameter, gradient)
                                   : at::Tensor();
}

class HeadNormFunction : public torch::autograd::Function<HeadNormFunction> {
 public:
  static at::Tensor forward(AutogradContext* ctx, const at::Tensor& qkv,
                            const at::Tensor& query_norm,
                            const at::Tensor& key_norm, int64_t kv_heads,
                            double eps) {
    const HeadCounts heads = Heads(qkv, query_norm, kv_heads);
    const at::Tensor in = Wide(qkv);
    const at::Tensor of_queries = Wide(query_norm), of_keys = Wide(key_norm);
    at::Tensor out = at::empty_like(in);
    at::Tensor r =
        at::empty({in.size(0), heads.queries + heads.keys}, in.options());
    AT_DISPATCH_FLOATING_TYPES(in.scalar_type(), "HeadNorm", [&] {
      const HeadNormForward<scalar_t> task{
          .heads = heads,
          .in = in.const_data_ptr<scalar_t>(),
          .query_norm = of_queries.const_data_ptr<scalar_t>(),
          .key_norm = of_keys.const_data_ptr<scalar_t>(),
          .out = out.data_ptr<scalar_t>(),
          .r = r.data_ptr<scalar_t>(),
          .eps = static_cast<scalar_t>(eps)};
      ParallelFor(qkv.size(0), kGrainRows, [&](int64_t begin, int64_t end) {
        HeadNormRows(task, begin, end);
      });
    });
    ctx->save_for_backward({qkv, r, query_norm, key_norm});
    ctx->saved_data["kv_heads"] = kv_heads;
    return RoundedLike(qkv, out);
  }

  static variable_list backward(AutogradContext* ctx, variable_list grads) {
    const variable_list saved = ctx->get_saved_variables();
    const at::Tensor qkv = Wide(saved[0]);
    const at::Tensor of_queries = Wide(saved[2]), of_keys = Wide(saved[3]);
    const HeadCounts heads =
        Heads(qkv, saved[2], ctx->saved_data["kv_heads"].toInt());
    const at::Tensor dout = Wide(grads[0].contiguous());
    at::Tensor dqkv = at::empty_like(qkv);
    at::Tensor parts =
        at::zeros({(qkv.size(0) + kPartRows - 1) / kPartRows, 2, heads.dim},
                  qkv.options());
    AT_DISPATCH_FLOATING_TYPES(qkv.scalar_type(), "HeadNormGrad", [&] {
      RunGrad<scalar_t>({.heads = heads,
                         .dout = dout.const_data_ptr<scalar_t>(),
                         .in = qkv.const_data_ptr<scalar_t>(),
                         .r = saved[1].const_data_ptr<scalar_t>(),
                         .query_norm = of_queries.const_data_ptr<scalar_t>(),
                         .key_norm = of_keys.const_data_ptr<scalar_t>(),
                         .din = dqkv.data_ptr<scalar_t>()},
                        qkv.size(0), parts);
    });
    const at::Tensor dnorms = parts.sum(0);
    return {RoundedLike(saved[0], dqkv), AddUp(saved[2], dnorms.select(0, 0)),
            AddUp(saved[3], dnorms.select(0, 1)), at::Tensor(), at::Tensor()};
  }
};

}  // namespace

at::Tensor HeadNorm(const at::Tensor& qkv, const at::Tensor& query_norm,
                    const at::Tensor& key_norm, int64_t kv_heads, double eps) {
  return HeadNormFunction::apply(qkv, query_norm, key_norm, kv_heads, eps);
}

}  // namespace varalign::model
