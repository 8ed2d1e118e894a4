#include "coordinator/commit_queue.h"

#include <iterator>
#include <utility>

#include "absl/strings/str_cat.h"
#include "base/logging.h"

namespace varalign::coordinator {

CommitQueue::CommitQueue(RunDatabase& database, const base::Clock& clock,
                         std::function<void(const Changes&)> on_durable)
    : database_(database),
      clock_(clock),
      on_durable_(std::move(on_durable)),
      thread_([this] { Run(); }) {}

CommitQueue::~CommitQueue() {
  {
    absl::MutexLock lock(&mutex_);
    stopping_ = true;
  }
  thread_.join();
}

uint64_t CommitQueue::Enqueue(Changes changes) {
  absl::MutexLock lock(&mutex_);
  if (changes.empty() || !failure_.ok()) return last_ticket_;
  if (!queued_since_) queued_since_ = clock_.MonotonicNow();
  std::move(changes.begin(), changes.end(), std::back_inserter(queued_));
  return ++last_ticket_;
}

absl::Status CommitQueue::AwaitDurable(uint64_t ticket,
                                       absl::Duration timeout) {
  absl::MutexLock lock(&mutex_);
  const auto is_settled = [&]() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_) {
    return durable_ticket_ >= ticket || !failure_.ok();
  };
  if (!mutex_.AwaitWithTimeout(absl::Condition(&is_settled), timeout)) {
    return absl::UnavailableError(
        "the coordinator's disk is slow: the outcome is not known yet, try "
        "again");
  }
  return failure_;
}

absl::Duration CommitQueue::Delay() const {
  absl::MutexLock lock(&mutex_);
  const auto& since = writing_since_ ? writing_since_ : queued_since_;
  return since ? clock_.MonotonicNow() - *since : absl::ZeroDuration();
}

absl::Status CommitQueue::health() const {
  absl::MutexLock lock(&mutex_);
  return failure_;
}

void CommitQueue::Run() {
  while (true) {
    Changes batch;
    uint64_t ticket = 0;
    {
      absl::MutexLock lock(&mutex_);
      mutex_.Await(absl::Condition(this, &CommitQueue::HasWork));
      if (queued_.empty()) return;
      batch = std::exchange(queued_, Changes{});
      writing_since_ = std::exchange(queued_since_, std::nullopt);
      ticket = last_ticket_;
    }
    const absl::Status status = database_.Apply(batch);
    if (status.ok()) on_durable_(batch);
    absl::MutexLock lock(&mutex_);
    writing_since_.reset();
    if (!status.ok()) {
      failure_ = absl::UnavailableError(absl::StrCat(
          "the coordinator cannot write its state and has stopped: ",
          status.message()));
      base::LogError("database_failed",
                     {{"error", std::string(status.message())}});
      return;
    }
    durable_ticket_ = ticket;
  }
}

}  // namespace varalign::coordinator
