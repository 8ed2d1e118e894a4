#include "worker/flat_shards.h"

#include <ATen/ops/empty.h>
#include <ATen/ops/zeros.h>

#include <algorithm>

#include "base/status_macros.h"

namespace varalign::worker {

FlatShards::FlatShards(const at::Tensor& flat, collective::ProcessGroup& group)
    : group_(group),
      num_elements_(flat.numel()),
      slice_((num_elements_ + group.size() - 1) / group.size()),
      begin_(std::min(slice_ * group.rank(), num_elements_)),
      end_(std::min(slice_ * (group.rank() + 1), num_elements_)) {
  if (group.size() == 1) return;
  reduced_ = at::empty({slice_}, flat.options());
  if (slice_ * group.size() != num_elements_) {
    padded_ = at::zeros({slice_ * group.size()}, flat.options());
  }
}

absl::StatusOr<at::Tensor> FlatShards::ReduceScatter(
    const at::Tensor& gradients) {
  if (group_.size() == 1) return gradients;
  if (padded_.defined()) padded_.narrow(0, 0, num_elements_).copy_(gradients);
  RETURN_IF_ERROR(group_.ReduceScatterSum(
      padded_.defined() ? padded_ : gradients, reduced_));
  return reduced_.narrow(0, 0, end_ - begin_);
}

absl::Status FlatShards::AllGather(at::Tensor& flat) {
  if (group_.size() == 1) return absl::OkStatus();
  at::Tensor& all = padded_.defined() ? padded_ : flat;
  const at::Tensor mine = all.narrow(0, slice_ * group_.rank(), slice_);
  if (padded_.defined()) {
    mine.narrow(0, 0, end_ - begin_)
        .copy_(flat.narrow(0, begin_, end_ - begin_));
  }
  RETURN_IF_ERROR(group_.AllGather(mine, all));
  if (padded_.defined()) flat.copy_(padded_.narrow(0, 0, num_elements_));
  return absl::OkStatus();
}

}  // namespace varalign::worker
