#include "model/low_rank.h"

#include <ATen/ATen.h>
#include <c10/core/GradMode.h>
#include <torch/csrc/autograd/custom_function.h>

#include <optional>

#include "model/kept_input.h"

namespace varalign::model {
namespace {

using torch::autograd::AutogradContext;
using torch::autograd::variable_list;

// The columns of y, or of its gradient, that a part makes.
at::Tensor Columns(const at::Tensor& y, const LowRank::Part& part) {
  return y.narrow(1, part.row_begin, part.b.size(0));
}

// The columns of h, or of its gradient, that belong to parts[index].
at::Tensor Bottleneck(const at::Tensor& h, const LowRank& low_rank,
                      size_t index) {
  return h.narrow(1, static_cast<int64_t>(index) * low_rank.rank(),
                  low_rank.rank());
}

// scale left^T right: added to the gradient that `parameter` has, else for the
// engine; nothing where none is wanted.
at::Tensor Gradient(const at::Tensor& parameter, const at::Tensor& left,
                    const at::Tensor& right, double scale) {
  if (at::Tensor& sum = parameter.mutable_grad(); sum.defined()) {
    sum.addmm_(left.t(), right, 1, scale);
    return {};
  }
  return parameter.requires_grad() ? at::mm(left.t(), right).mul_(scale)
                                   : at::Tensor();
}

class AdaptedLinearFunction
    : public torch::autograd::Function<AdaptedLinearFunction> {
 public:
  // `b` are the leaves of `low_rank`, as arguments that the engine sees.
  static at::Tensor forward(AutogradContext* ctx, const at::Tensor& x,
                            const at::Tensor& weight,
                            const std::optional<at::Tensor>& bias,
                            const at::Tensor& a, at::TensorList b,
                            const LowRank& low_rank, const Recipe& recipe) {
    at::Tensor y = bias.has_value() ? at::addmm(*bias, x, weight.t())
                                    : at::mm(x, weight.t());
    const at::Tensor h = AddLowRank(x, low_rank, y);
    const KeptInput kept = KeepInput(ctx, x, recipe);
    variable_list saved = {kept.tensor, kept.weight, weight, h, a};
    saved.insert(saved.end(), b.begin(), b.end());
    ctx->save_for_backward(std::move(saved));
    std::vector<int64_t> row_begins;
    for (const LowRank::Part& part : low_rank.parts) {
      row_begins.push_back(part.row_begin);
    }
    ctx->saved_data["row_begins"] = row_begins;
    ctx->saved_data["scale"] = low_rank.scale;
    return y;
  }

  static variable_list backward(AutogradContext* ctx, variable_list grads) {
    const variable_list saved = ctx->get_saved_variables();
    const LowRank low_rank = LowRankOf(ctx, saved);
    const at::Tensor& dy = grads[0];
    const at::Tensor& h = saved[3];
    const at::Tensor dh = at::empty_like(h);
    variable_list db;
    for (size_t i = 0; i < low_rank.parts.size(); ++i) {
      const LowRank::Part& part = low_rank.parts[i];
      const at::Tensor columns = Columns(dy, part);
      // beta 0: what `dh` holds before does not count.
      Bottleneck(dh, low_rank, i)
          .addmm_(columns, part.b.detach(), 0, low_rank.scale);
      db.push_back(Gradient(part.b, columns, Bottleneck(h, low_rank, i),
                            low_rank.scale));
    }
    at::Tensor dx;
    if (ctx->needs_input_grad(0)) {
      dx = at::mm(dy, saved[2].detach()).addmm_(dh, low_rank.a.detach());
    }
    const at::Tensor x = FormInput(ctx, {saved[0], saved[1]});
    variable_list result = {dx, at::Tensor(), at::Tensor(),
                            Gradient(low_rank.a, dh, x, 1)};
    result.insert(result.end(), db.begin(), db.end());
    result.resize(result.size() + 2);  // low_rank and recipe
    return result;
  }

 private:
  static LowRank LowRankOf(AutogradContext* ctx, const variable_list& saved) {
    constexpr size_t kFirstB = 5;
    const auto row_begins = ctx->saved_data["row_begins"].toIntVector();
    LowRank low_rank{.a = saved[4],
                     .parts = {},
                     .scale = ctx->saved_data["scale"].toDouble()};
    for (size_t i = 0; i < row_begins.size(); ++i) {
      low_rank.parts.push_back(
          {.name = {}, .row_begin = row_begins[i], .b = saved[kFirstB + i]});
    }
    return low_rank;
  }
};

}  // namespace

at::Tensor AddLowRank(const at::Tensor& x, const LowRank& low_rank,
                      at::Tensor& y) {
  const c10::NoGradGuard no_grad;
  const at::Tensor h = at::mm(x, low_rank.a.detach().t());
  for (size_t i = 0; i < low_rank.parts.size(); ++i) {
    const LowRank::Part& part = low_rank.parts[i];
    Columns(y, part).addmm_(Bottleneck(h, low_rank, i), part.b.detach().t(), 1,
                            low_rank.scale);
  }
  return h;
}

at::Tensor Merged(const at::Tensor& weight, const LowRank& low_rank) {
  const c10::NoGradGuard no_grad;
  at::Tensor merged = weight.detach().clone();
  for (size_t i = 0; i < low_rank.parts.size(); ++i) {
    const LowRank::Part& part = low_rank.parts[i];
    merged.narrow(0, part.row_begin, part.b.size(0))
        .addmm_(part.b.detach(), low_rank.PartA(i).detach(), 1, low_rank.scale);
  }
  return merged;
}

at::Tensor AdaptedLinear(const at::Tensor& x, const at::Tensor& weight,
                         const at::Tensor& bias, const LowRank& low_rank,
                         const Recipe& recipe_of_x) {
  std::vector<at::Tensor> b;
  for (const LowRank::Part& part : low_rank.parts) b.push_back(part.b);
  return AdaptedLinearFunction::apply(
      x, weight, bias.defined() ? std::optional(bias) : std::nullopt,
      low_rank.a, at::TensorList(b), low_rank, recipe_of_x);
}

}  // namespace varalign::model
