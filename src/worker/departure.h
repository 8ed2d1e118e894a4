// Why a rank leaves its generation, known to all its threads at once.
#ifndef VARALIGN_WORKER_DEPARTURE_H_
#define VARALIGN_WORKER_DEPARTURE_H_

#include <functional>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/status/status.h"
#include "absl/synchronization/mutex.h"
#include "absl/time/time.h"

namespace varalign::worker {

// Thread safe. The first reason wins and stays.
class Departure {
 public:
  // Runs the actions of OnLeave in the calling thread, the first time only.
  // REQUIRES: !why.ok().
  void Leave(absl::Status why);

  // Ok while the rank stays.
  absl::Status status() const;

  // Waits up to `timeout`; true as soon as the rank leaves.
  bool WaitFor(absl::Duration timeout) const;

  // `action` must not block and must own what it uses. Runs at once where the
  // rank is leaving already.
  void OnLeave(std::function<void()> action);

 private:
  mutable absl::Mutex mutex_;
  absl::Status why_ ABSL_GUARDED_BY(mutex_);
  std::vector<std::function<void()>> actions_ ABSL_GUARDED_BY(mutex_);
};

}  // namespace varalign::worker

#endif  // VARALIGN_WORKER_DEPARTURE_H_
