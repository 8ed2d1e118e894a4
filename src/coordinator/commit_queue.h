// Makes changes durable in the order in which they were decided. Decisions are
// not held up by the disk: what piles up while one transaction runs goes into
// the next one, and whoever replies waits until its changes are in.
#ifndef VARALIGN_COORDINATOR_COMMIT_QUEUE_H_
#define VARALIGN_COORDINATOR_COMMIT_QUEUE_H_

#include <cstdint>
#include <functional>
#include <optional>
#include <thread>

#include "absl/base/thread_annotations.h"
#include "absl/status/status.h"
#include "absl/synchronization/mutex.h"
#include "absl/time/time.h"
#include "base/clock.h"
#include "coordinator/changes.h"
#include "coordinator/run_database.h"

namespace varalign::coordinator {

// Owns the thread that writes. Thread safe. After a failed commit its outcome
// is unknown: everything is refused from then on.
class CommitQueue {
 public:
  // The references outlive the queue. `on_durable` is called on the queue's
  // thread after each commit, before those who wait for it go on.
  CommitQueue(RunDatabase& database, const base::Clock& clock,
              std::function<void(const Changes&)> on_durable);
  CommitQueue(const CommitQueue&) = delete;
  CommitQueue& operator=(const CommitQueue&) = delete;
  // Commits what is queued.
  ~CommitQueue();

  // Returns the ticket of `changes`, or of the newest ones before if there are
  // none. Never blocks. Bounded by the number of calls in flight, as each waits
  // for its ticket.
  uint64_t Enqueue(Changes changes);

  // Waits until all up to `ticket` is durable. Unavailable: the database
  // failed, or `timeout` passed.
  absl::Status AwaitDurable(uint64_t ticket, absl::Duration timeout);

  // For how long the oldest change that is not durable yet has waited; zero
  // where there is none.
  absl::Duration Delay() const;

  // Not ok once a commit has failed.
  absl::Status health() const;

 private:
  void Run();
  bool HasWork() const ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_) {
    return stopping_ || !queued_.empty();
  }

  RunDatabase& database_;
  const base::Clock& clock_;
  const std::function<void(const Changes&)> on_durable_;

  mutable absl::Mutex mutex_;
  Changes queued_ ABSL_GUARDED_BY(mutex_);
  // When the oldest of `queued_`, and of what is being written, was queued.
  std::optional<absl::Duration> queued_since_ ABSL_GUARDED_BY(mutex_);
  std::optional<absl::Duration> writing_since_ ABSL_GUARDED_BY(mutex_);
  uint64_t last_ticket_ ABSL_GUARDED_BY(mutex_) = 0;
  uint64_t durable_ticket_ ABSL_GUARDED_BY(mutex_) = 0;
  absl::Status failure_ ABSL_GUARDED_BY(mutex_);
  bool stopping_ ABSL_GUARDED_BY(mutex_) = false;

  std::thread thread_;
};

}  // namespace varalign::coordinator

#endif  // VARALIGN_COORDINATOR_COMMIT_QUEUE_H_
