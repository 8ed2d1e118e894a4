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
                 const at::Tensor& targets) {
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
}

// The weights are there before any row is computed.
class FixedWeights final : public RowWeigher {
 public:
  FixedWeights(const at::Tensor& weights, int64_t piece_rows)
      : weights_(weights.detach().to(at::kDouble)), piece_rows_(piece_rows) {}

  std::vector<int64_t> PieceEnds() const override {
    std::vector<int64_t> ends;
    for (int64_t end = 0; end < weights_.size(0);) {
      end = std::min(end + piece_rows_, weights_.size(0));
      ends.push_back(end);
    }
    return ends;
  }

  // Summed in float64: rows are many and the terms have one sign.
  double Weigh(int64_t begin, const at::Tensor& nll,
               at::Tensor& weights) override {
    const at::Tensor mine = weights_.narrow(0, begin, nll.size(0));
    weights.copy_(mine);
    return (nll.to(at::kDouble) * mine).sum().item<double>();
  }

 private:
  const at::Tensor weights_;  // [R]
  const int64_t piece_rows_;
};

// What a call computes with. Rows are the r rows [begin, begin + r).
class Head {
 public:
  Head(const at::Tensor& hidden, const at::Tensor& lm_head,
       const at::Tensor& targets, const Gradients& gradients,
       int64_t chunk_rows)
      : hidden_(hidden),
        lm_head_(lm_head),
        targets_(targets),
        gradients_(gradients),
        scratch_(
            at::empty({std::min(chunk_rows, hidden.size(0)), lm_head.size(0)},
                      hidden.options())) {}

  int64_t chunk_rows() const { return scratch_.size(0); }
  bool wants_gradients() const {
    return gradients_.hidden.defined() || gradients_.lm_head.defined();
  }

  // [r] of at most chunk_rows rows; their log-probabilities stay for
  // AddGradients.
  at::Tensor Nll(int64_t begin, int64_t rows) {
    at::Tensor logits = scratch_.narrow(0, 0, rows);
    at::mm_out(logits, hidden_.narrow(0, begin, rows), lm_head_.t());
    at::_log_softmax_out(logits, logits, 1, /*half_to_float=*/false);
    return logits.gather(1, TargetColumn(begin, rows)).squeeze(1).neg_();
  }

  // REQUIRES: called once after Nll of the same rows. With p = softmax(logits)
  // the gradient of a row's logits is w * (p - onehot). The factor w goes to
  // the rows of hidden, which are H wide, not V.
  void AddGradients(int64_t begin, const at::Tensor& weights) {
    if (!wants_gradients()) return;
    const int64_t rows = weights.size(0);
    at::Tensor logits = scratch_.narrow(0, 0, rows);
    logits.exp_().scatter_add_(
        1, TargetColumn(begin, rows),
        at::full({1, 1}, -1, logits.options()).expand({rows, 1}));
    const at::Tensor weight_column = weights.unsqueeze(1);  // [r, 1]
    if (gradients_.hidden.defined()) {
      at::Tensor out = gradients_.hidden.narrow(0, begin, rows);
      at::mm_out(out, logits, lm_head_).mul_(weight_column);
    }
    if (gradients_.lm_head.defined()) {
      gradients_.lm_head.addmm_(logits.t(),
                                hidden_.narrow(0, begin, rows) * weight_column);
    }
  }

 private:
  at::Tensor TargetColumn(int64_t begin, int64_t rows) const {  // [r, 1]
    return targets_.narrow(0, begin, rows).unsqueeze(1);
  }

  const at::Tensor hidden_;   // [R, H]
  const at::Tensor lm_head_;  // [V, H]
  const at::Tensor targets_;  // [R]
  Gradients gradients_;
  const at::Tensor scratch_;  // [chunk_rows, V]
};

// Calls `chunk(begin, rows)` over [begin, end).
template <typename Chunk>
void ForChunks(int64_t begin, int64_t end, int64_t chunk_rows, Chunk chunk) {
  for (; begin < end; begin += chunk_rows) {
    chunk(begin, std::min(chunk_rows, end - begin));
  }
}

// Rows [begin, end), which are weighed together; fills their part of `nll`.
double Piece(Head& head, RowWeigher& weigher, int64_t begin, int64_t end,
             const at::Tensor& nll) {
  const at::Tensor mine = nll.narrow(0, begin, end - begin);
  const auto of_mine = [begin](const at::Tensor& of, int64_t at, int64_t rows) {
    return of.narrow(0, at - begin, rows);
  };
  ForChunks(begin, end, head.chunk_rows(), [&](int64_t at, int64_t rows) {
    of_mine(mine, at, rows).copy_(head.Nll(at, rows));
  });
  at::Tensor weights = at::empty_like(mine);
  const double loss = weigher.Weigh(begin, mine, weights);
  if (!head.wants_gradients()) return loss;
  const bool is_one_chunk = end - begin <= head.chunk_rows();
  ForChunks(begin, end, head.chunk_rows(), [&](int64_t at, int64_t rows) {
    if (!is_one_chunk) head.Nll(at, rows);  // another chunk's are there
    head.AddGradients(at, of_mine(weights, at, rows));
  });
  return loss;
}

// Fills nll [R] and what `head` computes; returns the loss.
double AllPieces(Head& head, RowWeigher& weigher, const at::Tensor& nll) {
  double loss = 0;
  int64_t begin = 0;
  for (const int64_t end : weigher.PieceEnds()) {
    TORCH_CHECK(begin < end && end <= nll.size(0),
                "weighted NLL: pieces must ascend within the rows: ", end,
                " of ", nll.size(0));
    loss += Piece(head, weigher, begin, end, nll);
    begin = end;
  }
  TORCH_CHECK(begin == nll.size(0),
              "weighted NLL: the pieces do not end at the last row: ", begin,
              " of ", nll.size(0));
  return loss;
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
                               const at::Tensor& targets, RowWeigher* weigher,
                               int64_t chunk_rows, WantedGradients wanted) {
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
    const at::Tensor nll = at::empty({rows.size(0)}, rows.options());
    Head head(rows, lm_head.detach().to(dtype), targets, gradients, chunk_rows);
    const at::Tensor loss =
        at::full({}, AllPieces(head, *weigher, nll), rows.options());
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
  TORCH_CHECK(weights.dim() == 1 && weights.size(0) == hidden.size(0),
              "weighted NLL: weights must be [R]: ", weights.sizes());
  FixedWeights weigher(weights, std::max<int64_t>(chunk_rows, 1));
  return WeightedNllLoss(hidden, lm_head, targets, weigher, chunk_rows);
}

WeightedNll WeightedNllLoss(const at::Tensor& hidden, const at::Tensor& lm_head,
                            const at::Tensor& targets, RowWeigher& weigher,
                            int64_t chunk_rows) {
  CheckInputs(hidden, lm_head, targets);
  const bool recording = at::GradMode::is_enabled();
  const variable_list outputs = WeightedNllFunction::apply(
      hidden, lm_head, targets, &weigher, std::max<int64_t>(chunk_rows, 1),
      WantedGradients{.hidden = recording && hidden.requires_grad(),
                      .lm_head = recording && lm_head.requires_grad()});
  return {outputs[0], outputs[1]};
}

}  // namespace varalign::objective
