// ZeRO-1 on flat buffers: rank r owns elements [r n, (r + 1) n) of the
// parameters, n = ceil(P / N), the last ranks perhaps fewer.
#ifndef VARALIGN_WORKER_FLAT_SHARDS_H_
#define VARALIGN_WORKER_FLAT_SHARDS_H_

#include <ATen/core/Tensor.h>

#include <cstdint>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "collective/process_group.h"

namespace varalign::worker {

// Moves the flat buffers between "all of it" and "my slice, summed". Where P is
// no multiple of the world size it goes through a padded copy. Not thread safe.
class FlatShards {
 public:
  // `group` outlives the object. P = flat.numel().
  FlatShards(const at::Tensor& flat, collective::ProcessGroup& group);

  int64_t begin() const { return begin_; }
  int64_t end() const { return end_; }

  // The sum over all ranks of `gradients` [P], this rank's slice [end - begin].
  // Valid until the next call; at world size 1 a view of `gradients`.
  absl::StatusOr<at::Tensor> ReduceScatter(const at::Tensor& gradients);

  // Completes `flat` [P], of which every rank has brought its own slice up to
  // date.
  absl::Status AllGather(at::Tensor& flat);

 private:
  collective::ProcessGroup& group_;
  const int64_t num_elements_;  // P
  const int64_t slice_;         // n
  const int64_t begin_;
  const int64_t end_;
  at::Tensor padded_;   // [n N]; undefined where P = n N
  at::Tensor reduced_;  // [n]; undefined at world size 1
};

}  // namespace varalign::worker

#endif  // VARALIGN_WORKER_FLAT_SHARDS_H_
