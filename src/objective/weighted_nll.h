// The loss half: sum over loss rows of weight * negative log-likelihood,
// without ever making an [R, V] tensor.
#ifndef VARALIGN_OBJECTIVE_WEIGHTED_NLL_H_
#define VARALIGN_OBJECTIVE_WEIGHTED_NLL_H_

#include <ATen/core/Tensor.h>

#include <cstdint>
#include <vector>

namespace varalign::objective {

inline constexpr int64_t kLossChunkRows = 1024;

struct WeightedNll {
  at::Tensor
      loss;        // [] same dtype as hidden: sum_t w_t * nll_t; differentiable
  at::Tensor nll;  // [R] same dtype as hidden: -log p(target), detached
};

// Decides the weights of loss rows from their nll, and what the loss is: a loss
// that is no weighted sum has the gradient of one, whose weights are the loss's
// derivatives by the rows' nll.
class RowWeigher {
 public:
  virtual ~RowWeigher() = default;

  // Ascending; the last is R. The rows of a piece are weighed together.
  virtual std::vector<int64_t> PieceEnds() const = 0;

  // Of the piece's rows [begin, begin + r): reads nll [r] and fills weights
  // [r], of the same dtype. Returns their part of the loss.
  virtual double Weigh(int64_t begin, const at::Tensor& nll,
                       at::Tensor& weights) = 0;
};

// hidden [R, H], lm_head [V, H], targets [R] int64, weights [R] (constants, no
// gradient flows into them). hidden and lm_head are both float32 or both
// float64. Logits are made in chunks of `chunk_rows` rows; the gradients of
// hidden and lm_head are computed in the forward pass, where the weights are
// known, so that the backward pass only hands them on. Under NoGradGuard, or
// where neither input requires a gradient, none is computed.
//
// Where the gradient of lm_head goes:
//
//   lm_head is a leaf whose grad() exists: added to that buffer at once, in
//     this call, and the backward pass returns none for lm_head. No [V, H]
//     temporary is made. REQUIRES that backward() of `loss` runs once, with
//     grad_output 1 (the divisor D is applied by the optimizer): a call whose
//     loss is thrown away has changed the buffer.
//   otherwise: a [V, H] tensor that the backward pass returns.
//
// A tied embedding: pass the embedding's own leaf as lm_head. The buffer then
// holds the head's part before backward() starts, and the engine adds the
// embedding's part to it in place, so both parts end in one buffer, in an order
// that does not change. A post-accumulate hook of that leaf fires when the
// embedding's part arrives, which is the last of the backward pass; for an
// untied head it does not fire, and the caller knows the head to be complete
// once backward() returns.
//
// Throws what libtorch throws (c10::Error for shapes or dtypes that do not
// fit); the caller's thread has the boundary.
WeightedNll WeightedNllLoss(const at::Tensor& hidden, const at::Tensor& lm_head,
                            const at::Tensor& targets,
                            const at::Tensor& weights,
                            int64_t chunk_rows = kLossChunkRows);

// The same under weights that depend on the rows' nll. Each piece is weighed
// once, in order, within this call. The logits of a piece above `chunk_rows`
// are computed twice: before it is weighed, and after.
WeightedNll WeightedNllLoss(const at::Tensor& hidden, const at::Tensor& lm_head,
                            const at::Tensor& targets, RowWeigher& weigher,
                            int64_t chunk_rows = kLossChunkRows);

}  // namespace varalign::objective

#endif  // VARALIGN_OBJECTIVE_WEIGHTED_NLL_H_
