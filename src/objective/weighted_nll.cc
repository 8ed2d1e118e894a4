#include "objective/weighted_nll.h"

#include <ATen/ATen.h>
#include <ATen/OpMathType.h>
#include <torch/csrc/autograd/custom_function.h>

#include <algorithm>

namespace varalign::objective {
namespace {

using torch::autograd::AutogradContext;
using torch::autograd::variable_list;

// Which gradients the forward pass computes, and where they go; undefined
// where one is not wanted.
struct Gradients {
  at::Tensor hidden;   // [R, H]
  at::Tensor lm_head;  // [V, H], added to
};

void CheckInputs(const at::Tensor& hidden, const at::Tensor& lm_head,
                 const at::Tensor& targets, const at::Tensor& weights) {
  TORCH_CHECK(hidden.dim() == 2 && lm_head.dim() == 2 &&
                  hidden.size(1) == lm_head.size(1),
              "weighted NLL: hidden [R, H] and lm_head [V, H] do not fit: ",
              hidden.sizes(), " and ", lm_head.sizes());
  TORCH_CHECK(
      hidden.scalar_type() == lm_head.scalar_type() &&
          (hidden.scalar_type() == at::kFloat ||
           hidden.scalar_type() == at::kDouble ||
           hidden.scalar_type() == at::kBFloat16),
      "weighted NLL: hidden and lm_head must both be float32, float64 or "
      "bfloat16: ",
      hidden.scalar_type(), " and ", lm_head.scalar_type());
  TORCH_CHECK(targets.scalar_type() == at::kLong && targets.dim() == 1 &&
                  targets.size(0) == hidden.size(0),
              "weighted NLL: targets must be int64 [R]: ", targets.sizes());
  TORCH_CHECK(weights.dim() == 1 && weights.size(0) == hidden.size(0),
              "weighted NLL: weights must be [R]: ", weights.sizes());
}

// One chunk of r rows; `logits` [r, V] is scratch. Returns its nll [r].
//
// With p = softmax(logits) the gradient of a row's logits is w * (p - onehot).
// The factor w goes to the rows of hidden, which are H wide, not V.
at::Tensor Chunk(const at::Tensor& hidden, const at::Tensor& lm_head,
                 const at::Tensor& targets, const at::Tensor& weights,
                 at::Tensor& logits, Gradients& gradients) {
  at::mm_out(logits, hidden, lm_head.t());
  at::_log_softmax_out(logits, logits, 1, /*half_to_float=*/false);
  const at::Tensor target_column = targets.unsqueeze(1);  // [r, 1]
  const at::Tensor nll = logits.gather(1, target_column).squeeze(1).neg_();
  if (!gradients.hidden.defined() && !gradients.lm_head.defined()) return nll;

  logits.exp_().scatter_add_(
      1, target_column,
      at::full({1, 1}, -1, logits.options()).expand({targets.size(0), 1}));
  const at::Tensor weight_column = weights.unsqueeze(1);  // [r, 1]
  if (gradients.hidden.defined()) {
    at::mm_out(gradients.hidden, logits, lm_head).mul_(weight_column);
  }
  if (gradients.lm_head.defined()) {
    gradients.lm_head.addmm_(logits.t(), hidden * weight_column);
  }
  return nll;
}

// Returns nll [R]; fills `gradients`.
at::Tensor AllChunks(const at::Tensor& hidden, const at::Tensor& lm_head,
                     const at::Tensor& targets, const at::Tensor& weights,
                     int64_t chunk_rows, Gradients& gradients) {
  const int64_t rows = hidden.size(0);
  const at::Tensor nll = at::empty({rows}, hidden.options());
  const at::Tensor scratch = at::empty(
      {std::min(chunk_rows, rows), lm_head.size(0)}, hidden.options());
  for (int64_t begin = 0; begin < rows; begin += chunk_rows) {
    const int64_t count = std::min(chunk_rows, rows - begin);
    const auto part = [&](const at::Tensor& tensor) {
      return tensor.defined() ? tensor.narrow(0, begin, count) : tensor;
    };
    at::Tensor logits = scratch.narrow(0, 0, count);
    Gradients chunk{part(gradients.hidden), gradients.lm_head};
    part(nll).copy_(Chunk(part(hidden), lm_head, part(targets), part(weights),
                          logits, chunk));
  }
  return nll;
}

// A gradient made for grad_output 1. Training uses no other value, and on the
// host it costs nothing to see that.
at::Tensor Scaled(const at::Tensor& gradient, const at::Tensor& grad_output) {
  if (!gradient.defined()) return gradient;
  if (grad_output.device().is_cpu() && grad_output.item<double>() == 1) {
    return gradient;
  }
  return gradient * grad_output;
}

struct WantedGradients {
  bool hidden = false;
  bool lm_head = false;
};

struct WeightedNllFunction
    : public torch::autograd::Function<WeightedNllFunction> {
  static variable_list forward(AutogradContext* ctx, const at::Tensor& hidden,
                               const at::Tensor& lm_head,
                               const at::Tensor& targets,
                               const at::Tensor& weights, int64_t chunk_rows,
                               WantedGradients wanted) {
    // The host computes in float32 where rows are bfloat16.
    const auto dtype = at::toOpMathType(hidden.scalar_type());
    const at::Tensor rows = hidden.to(dtype);
    Gradients gradients;
    if (wanted.hidden) gradients.hidden = at::empty_like(rows);
    const at::Tensor& buffer =
        lm_head.is_leaf() ? lm_head.grad() : at::Tensor();
    const bool into_buffer = wanted.lm_head && buffer.defined();
    if (wanted.lm_head) {
      gradients.lm_head =
          into_buffer ? buffer
                      : at::zeros_like(lm_head, lm_head.options().dtype(dtype));
    }
    const at::Tensor row_weights = weights.detach().to(rows.options());
    const at::Tensor nll = AllChunks(rows, lm_head.detach().to(dtype), targets,
                                     row_weights, chunk_rows, gradients);
    // Summed in float64: R is large and the terms have one sign.
    const at::Tensor loss =
        (nll.to(at::kDouble) * weights.to(at::kDouble)).sum().to(dtype);
    ctx->mark_non_differentiable({nll});
    const auto rounded = [&](const at::Tensor& gradient) {
      return gradient.defined() ? gradient.to(hidden.scalar_type()) : gradient;
    };
    ctx->save_for_backward(
        {rounded(gradients.hidden),
         into_buffer ? at::Tensor() : rounded(gradients.lm_head)});
    ctx->saved_data["into_buffer"] = into_buffer;
    return {loss, nll};
  }

  static variable_list backward(AutogradContext* ctx,
                                variable_list grad_outputs) {
    const at::Tensor& grad_output = grad_outputs[0];
    const variable_list saved = ctx->get_saved_variables();
    TORCH_CHECK(!ctx->saved_data["into_buffer"].toBool() ||
                    !grad_output.device().is_cpu() ||
                    grad_output.item<double>() == 1,
                "weighted NLL: the gradient of lm_head is in its buffer "
                "already, so grad_output must be 1");
    return {Scaled(saved[0], grad_output),
            Scaled(saved[1], grad_output),
            at::Tensor(),
            at::Tensor(),
            at::Tensor(),
            at::Tensor()};
  }
};

}  // namespace

WeightedNll WeightedNllLoss(const at::Tensor& hidden, const at::Tensor& lm_head,
                            const at::Tensor& targets,
                            const at::Tensor& weights, int64_t chunk_rows) {
  CheckInputs(hidden, lm_head, targets, weights);
  const bool recording = at::GradMode::is_enabled();
  const variable_list outputs = WeightedNllFunction::apply(
      hidden, lm_head, targets, weights, std::max<int64_t>(chunk_rows, 1),
      WantedGradients{.hidden = recording && hidden.requires_grad(),
                      .lm_head = recording && lm_head.requires_grad()});
  return {outputs[0], outputs[1]};
}

}  // namespace varalign::objective
