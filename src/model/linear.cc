#include "model/linear.h"

#include <ATen/ATen.h>
#include <torch/csrc/autograd/custom_function.h>

#include <optional>

#include "model/kept_input.h"
#include "model/wide.h"

namespace varalign::model {
namespace {

using torch::autograd::AutogradContext;
using torch::autograd::variable_list;

class LinearFunction : public torch::autograd::Function<LinearFunction> {
 public:
  static at::Tensor forward(AutogradContext* ctx, const at::Tensor& x,
                            const at::Tensor& weight,
                            const std::optional<at::Tensor>& bias,
                            const Recipe& recipe) {
    KeptInput kept;
    if (weight.requires_grad()) kept = KeepInput(ctx, x, recipe);
    ctx->save_for_backward(
        {kept.tensor, weight, bias.value_or(at::Tensor()), kept.weight});
    const at::Tensor wide = Wide(x), matrix = Wide(weight).t();
    return RoundedLike(x, bias.has_value()
                              ? at::addmm(Wide(*bias), wide, matrix)
                              : at::mm(wide, matrix));
  }

  static variable_list backward(AutogradContext* ctx, variable_list grads) {
    const variable_list saved = ctx->get_saved_variables();
    const at::Tensor& weight = saved[1];
    const at::Tensor& dy = grads[0];
    at::Tensor dx, dweight;
    if (ctx->needs_input_grad(0)) {
      dx = RoundedLike(dy, at::mm(Wide(dy), Wide(weight.detach())));
    }
    if (weight.requires_grad()) {
      dweight =
          WeightGradient(weight, dy, FormInput(ctx, {saved[0], saved[3]}));
    }
    return {dx, dweight, BiasGradient(saved[2], dy), at::Tensor()};
  }

 private:
  // What the engine is to add up itself; undefined where that is done or not
  // wanted.
  static at::Tensor WeightGradient(const at::Tensor& weight,
                                   const at::Tensor& dy, const at::Tensor& x) {
    if (at::Tensor& sum = weight.mutable_grad(); sum.defined()) {
      AddProduct(dy.t(), x, sum);
      return {};
    }
    return RoundedLike(weight, at::mm(Wide(dy).t(), Wide(x)));
  }

  static at::Tensor BiasGradient(const at::Tensor& bias, const at::Tensor& dy) {
    if (!bias.defined()) return {};
    if (at::Tensor& sum = bias.mutable_grad(); sum.defined()) {
      sum.add_(Wide(dy).sum(0));
      return {};
    }
    return bias.requires_grad() ? dy.sum(0) : at::Tensor();
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
      sum.index_add_(0, tokens, grads[0].to(sum.scalar_type()));
      return {at::Tensor(), at::Tensor()};
    }
    const at::Tensor dweight =
        at::zeros_like(saved[1]).index_add_(0, tokens, grads[0]);
    return {at::Tensor(), dweight};
  }
};

}  // namespace

at::Tensor Linear(const at::Tensor& x, const LinearParameters& parameters,
                  const Recipe& recipe_of_x) {
  if (!parameters.low_rank.empty()) {
    return AdaptedLinear(x, parameters.weight, parameters.bias,
                         parameters.low_rank, recipe_of_x);
  }
  return LinearFunction::apply(
      x, parameters.weight,
      parameters.bias.defined() ? std::optional(parameters.bias) : std::nullopt,
      recipe_of_x);
}

at::Tensor Embed(const at::Tensor& tokens, const at::Tensor& weight) {
  return EmbedFunction::apply(tokens, weight);
}

at::Tensor TiledLinear(const at::Tensor& x, const LinearParameters& parameters,
                       const Recipe& /*recipe_of_x: no backward pass*/) {
  const c10::NoGradGuard no_grad;
  const at::Tensor transposed = parameters.weight.detach().t();
  at::Tensor out = at::empty({x.size(0), transposed.size(1)}, x.options());
  for (int64_t row = 0; row < x.size(0); row += kTileRows) {
    at::Tensor tile = out.narrow(0, row, kTileRows);
    const at::Tensor rows = x.narrow(0, row, kTileRows);
    if (parameters.bias.defined()) {
      at::addmm_out(tile, parameters.bias.detach(), rows, transposed);
    } else {
      at::mm_out(tile, rows, transposed);
    }
    if (!parameters.low_rank.empty()) {
      AddLowRank(rows, parameters.low_rank, tile);
    }
  }
  return out;
}

}  // namespace varalign::model
