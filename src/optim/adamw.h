// AdamW on a flat shard, decoupled weight decay (Loshchilov & Hutter,
// arXiv 1711.05101), with the arithmetic of torch.optim.AdamW.
//
// Not thread safe: the caller's step loop owns the state.
#ifndef VARALIGN_OPTIM_ADAMW_H_
#define VARALIGN_OPTIM_ADAMW_H_

#include <ATen/core/Tensor.h>

#include <cstdint>
#include <utility>
#include <vector>

namespace varalign::optim {

struct AdamWOptions {
  double beta1 = 0.9;
  double beta2 = 0.999;
  double epsilon = 1e-8;
  double weight_decay = 0;
};

// The optimizer's state for the slice [begin, end) of the flat parameters that
// this rank owns (ZeRO-1; the whole at world size 1).
struct AdamWState {
  int64_t begin = 0;
  int64_t end = 0;
  at::Tensor master;  // [end - begin] float32 (float64 in exactness tests)
  at::Tensor m;       // the same shape and dtype
  at::Tensor v;
  // Where weight decay applies: ranges of the slice, counted from `begin`,
  // ascending, disjoint.
  std::vector<std::pair<int64_t, int64_t>> decayed;
  int64_t updates = 0;  // t: updates that changed the parameters
};

// Zero moments. The master is the slice of `flat` [P] itself, so that an update
// needs no copy, or, where that has less precision, a converted copy.
// `decayed`: ranges of `flat`, in any order, disjoint; what lies outside the
// slice is cut off.
AdamWState MakeAdamWState(
    const at::Tensor& flat, int64_t begin, int64_t end,
    const std::vector<std::pair<int64_t, int64_t>>& decayed);

// One update with gradient `scale * gradient`, in place; `gradient`
// [end - begin], of the master's dtype, is only read. Makes no temporary of
// the slice's size on the host. REQUIRES: scale is finite; what to do with a
// gradient that is not is the caller's decision, since all ranks must make it
// alike.
void AdamWStep(const at::Tensor& gradient, double scale, double learning_rate,
               const AdamWOptions& options, AdamWState& state);

// Rounds the master into its place in `flat` [P]; nothing where the master is
// that place itself.
void WriteMaster(const AdamWState& state, at::Tensor& flat);

// min(1, max_norm / norm); 1 where max_norm is 0. NaN where norm is NaN.
double ClipFactor(double norm, double max_norm);

}  // namespace varalign::optim

#endif  // VARALIGN_OPTIM_ADAMW_H_
