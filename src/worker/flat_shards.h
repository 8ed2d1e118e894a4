// ZeRO-1 on flat buffers (Rajbhandari et al., arXiv 1910.02054): of each bucket
// a rank owns one slice, for which alone it has an optimizer's state.
#ifndef VARALIGN_WORKER_FLAT_SHARDS_H_
#define VARALIGN_WORKER_FLAT_SHARDS_H_

#include <ATen/core/Tensor.h>

#include <cstddef>
#include <cstdint>
#include <optional>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/synchronization/mutex.h"
#include "absl/time/time.h"
#include "base/clock.h"
#include "collective/buckets.h"
#include "collective/collective_thread.h"
#include "collective/process_group.h"
#include "model/block_watcher.h"
#include "model/parameters.h"

namespace varalign::worker {

// When the buckets travel. The collectives and their order are the same, and so
// are all bits.
enum class Overlap {
  kNone,    // after the backward pass, and before the step ends
  kPasses,  // beside the passes over the model
};

struct ShardOptions {
  int64_t bucket_bytes = int64_t{128} << 20;  // a bucket has so many or more
  Overlap overlap = Overlap::kPasses;
};

// Moves gradients and parameters between "all of it" and "my slices", bucket by
// bucket: gradients leave from the last bucket to the first while the backward
// pass runs, parameters come back from the first to the last while the next
// forward pass runs. All collectives are issued by one thread, in one order,
// whatever rows a rank has; at world size 1 there are none.
//
// Calls of a step, by the thread that trains:
//
//   SendFullBuckets   before the last backward pass; the watched passes do the
//                     rest. A rank without rows leaves it out
//   SendAllBuckets    after it
//   AwaitGradients
//   AllReduceSum      the step's scalars
//   SendSlice         for each bucket in ascending order, once its slice of the
//                     parameters is up to date
//
// Tensors are on the host: a device's stream would have to be waited for before
// a bucket leaves.
//
// A collective that fails ends it: what waits, and every later wait, returns
// the error, whose text begins with the bucket's name. Codes of ProcessGroup.
class FlatShards final : public model::BlockWatcher {
 public:
  // `group` and `clock` outlive the object, which must outlive all passes over
  // parameters whose watcher it is. Uses the flat buffer of `parameters`, as
  // copies of the struct do.
  FlatShards(const model::Parameters& parameters, const ShardOptions& options,
             collective::ProcessGroup& group, const base::Clock& clock);

  // This rank's slice of each bucket, as a range of the flat buffer.
  const std::vector<collective::Slice>& slices() const { return slices_; }

  // From now on a bucket of `gradients` [P] leaves when all its blocks are
  // complete and those behind it have left.
  void SendFullBuckets(const at::Tensor& gradients);
  // All blocks are complete.
  void SendAllBuckets(const at::Tensor& gradients);
  // The sums over all ranks of this rank's slices. Valid until the next step;
  // at world size 1 views of the gradients.
  absl::StatusOr<std::vector<at::Tensor>> AwaitGradients();

  // In place, on the thread that issues all collectives.
  absl::Status AllReduceSum(at::Tensor& tensor);

  // Gives every rank the parameters of `bucket`, of which each has brought its
  // slice up to date. With overlap it returns at once.
  absl::Status SendSlice(size_t bucket);
  // Returns when the flat buffer is complete. Before it is read other than by a
  // pass over the model, and before the group is called directly.
  absl::Status AwaitParameters();

  // Ok, or the first error so far.
  absl::Status status() const;

  // Time that the training thread has waited for collectives since the last
  // call: what overlap did not hide.
  absl::Duration TakeExposed();

  // A pass that reads a block waits for its parameters. After an error it reads
  // what is there: ask for `status` before its result is used.
  void BeforeForward(size_t block) override;
  void AfterBackward(size_t block) override;

 private:
  using Ticket = collective::CollectiveThread::Ticket;

  void SendWhatIsFull() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  absl::Status Reduce(size_t bucket, const at::Tensor& gradients,
                      collective::ProcessGroup& group);
  absl::Status Gather(size_t bucket, collective::ProcessGroup& group);
  absl::Status Await(Ticket ticket);

  // Constant after construction.
  const base::Clock& clock_;
  const int world_size_;
  const Overlap overlap_;
  std::vector<collective::Bucket> buckets_;
  std::vector<collective::Slice> slices_;  // by bucket
  std::vector<size_t> last_bucket_;        // by block: the last one it is in
  at::Tensor parameters_;  // [P], the flat buffer with a version of its own

  // Of the thread that trains.
  std::vector<Ticket> gathered_;  // by bucket
  absl::Duration exposed_;

  absl::Mutex mutex_;
  at::Tensor gradients_ ABSL_GUARDED_BY(mutex_);  // undefined: none may leave
  std::vector<bool> complete_ ABSL_GUARDED_BY(mutex_);  // by block
  size_t unsent_ ABSL_GUARDED_BY(mutex_) = 0;  // buckets [0, unsent_) are here
  Ticket reduced_ticket_ ABSL_GUARDED_BY(mutex_) = 0;

  // Of the collective thread until awaited.
  std::vector<at::Tensor> reduced_;  // by bucket, this rank's slice

  // Null at world size 1.
  std::optional<collective::CollectiveThread> thread_;
};

}  // namespace varalign::worker

#endif  // VARALIGN_WORKER_FLAT_SHARDS_H_
