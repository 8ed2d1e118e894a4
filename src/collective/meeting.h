// Where the threads of a local group meet: each rank shows the others what it
// brings to a verb, and leaves when all are done looking at it. Internal to
// `collective`.
#ifndef VARALIGN_COLLECTIVE_MEETING_H_
#define VARALIGN_COLLECTIVE_MEETING_H_

#include <ATen/core/Tensor.h>

#include <cstddef>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/status/status.h"
#include "absl/synchronization/mutex.h"
#include "absl/time/time.h"

namespace varalign::collective {

enum class Verb {
  kAllReduce,
  kReduceScatter,
  kAllGather,
  kBroadcast,
  kBarrier,
  kShift
};

// What one rank brings. The tensor shares memory with the caller's.
struct Part {
  Verb verb = Verb::kBarrier;
  int root = 0;
  at::Tensor tensor;
};

// Thread safe. Each rank calls Enter, then Await as often as the others do.
class Meeting {
 public:
  Meeting(int size, absl::Duration timeout);

  int size() const { return size_; }

  // Shows `part` and blocks until every rank has shown its own.
  //   InvalidArgument   the parts do not fit together
  //   Aborted, DeadlineExceeded as ProcessGroup
  absl::Status Enter(int rank, Part part);

  // Blocks until every rank has come here. Codes as Enter.
  absl::Status Await();

  // Of the verb under way. REQUIRES: between Enter and the last Await of it.
  at::Tensor tensor(int rank) const;

  // Ends the meeting for every rank; the first reason stands.
  void End(absl::Status reason);

 private:
  absl::Status AwaitAll() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  absl::Status CheckParts() const ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);

  const int size_;
  const absl::Duration timeout_;

  mutable absl::Mutex mutex_;
  std::vector<Part> parts_ ABSL_GUARDED_BY(mutex_);  // by rank
  int arrived_ ABSL_GUARDED_BY(mutex_) = 0;
  size_t round_ ABSL_GUARDED_BY(mutex_) = 0;  // times that all have arrived
  absl::Status end_ ABSL_GUARDED_BY(mutex_);
};

}  // namespace varalign::collective

#endif  // VARALIGN_COLLECTIVE_MEETING_H_
