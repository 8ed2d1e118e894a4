#include "model/linear.h"

#include <ATen/ATen.h>
#include <torch/csrc/autograd/custom_function.h>

namespace varalign::model {
namespace {

using torch::autograd::AutogradContext;
using torch::autograd::variable_list;

class LinearFunction : public torch::autograd::Function<LinearFunction> {
 public:
  static at::Tensor forward(AutogradContext* ctx, const at::Tensor& x,
                            const at::Tensor& weight) {
    ctx->save_for_backward({x, weight});
    return at::mm(x, weight.t());
  }

  static variable_list backward(AutogradContext* ctx, variable_list grads) {
    const variable_list saved = ctx->get_saved_variables();
    const at::Tensor& x = saved[0];
    const at::Tensor weight = saved[1].detach();
    const at::Tensor& dy = grads[0];
    at::Tensor dweight;
    if (at::Tensor& sum = saved[1].mutable_grad(); sum.defined()) {
      sum.addmm_(dy.t(), x);
    } else if (saved[1].requires_grad()) {
      dweight = at::mm(dy.t(), x);
    }
    return {at::mm(dy, weight), dweight};
  }
};

class EmbedFunction : public torch::autograd::Function<EmbedFunction> {
 public:
  static at::Tensor forward(AutogradContext* ctx, const at::Tensor& tokens,
                            const at::Tensor& weight) {
    ctx->save_for_backward({tokens, weight});
    return weight.index_select(0, tokens);
  }

  static variable_list backward(AutogradContext* ctx, variable_list grads) {
    const variable_list saved = ctx->get_saved_variables();
    const at::Tensor& tokens = saved[0];
    if (at::Tensor& sum = saved[1].mutable_grad(); sum.defined()) {
      sum.index_add_(0, tokens, grads[0]);
      return {at::Tensor(), at::Tensor()};
    }
    const at::Tensor dweight =
        at::zeros_like(saved[1]).index_add_(0, tokens, grads[0]);
    return {at::Tensor(), dweight};
  }
};

}  // namespace

at::Tensor Linear(const at::Tensor& x, const at::Tensor& weight) {
  return LinearFunction::apply(x, weight);
}

at::Tensor Embed(const at::Tensor& tokens, const at::Tensor& weight) {
  return EmbedFunction::apply(tokens, weight);
}

at::Tensor TiledLinear(const at::Tensor& x, const at::Tensor& weight) {
  const c10::NoGradGuard no_grad;
  const at::Tensor transposed = weight.detach().t();
  at::Tensor out = at::empty({x.size(0), weight.size(0)}, x.options());
  for (int64_t row = 0; row < x.size(0); row += kTileRows) {
    at::Tensor tile = out.narrow(0, row, kTileRows);
    at::mm_out(tile, x.narrow(0, row, kTileRows), transposed);
  }
  return out;
}

}  // namespace varalign::model
