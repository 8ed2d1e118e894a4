#include "collective/collective_thread.h"

#include <utility>

#include "absl/strings/str_cat.h"
#include "base/exception_boundary.h"

namespace varalign::collective {

CollectiveThread::CollectiveThread(ProcessGroup& group)
    : group_(group), thread_([this] { Run(); }) {}

CollectiveThread::~CollectiveThread() {
  bool gives_up = false;
  {
    absl::MutexLock lock(&mutex_);
    stopping_ = true;
    gives_up = done_ < posted_ && status_.ok();
    queue_.clear();
  }
  if (gives_up) group_.Abort();
  thread_.join();
}

CollectiveThread::Ticket CollectiveThread::Post(std::string name,
                                                Operation operation) {
  absl::MutexLock lock(&mutex_);
  if (status_.ok()) queue_.push_back({std::move(name), std::move(operation)});
  return ++posted_;
}

absl::Status CollectiveThread::Await(Ticket ticket) {
  absl::MutexLock lock(&mutex_);
  const auto is_over = [this, ticket]() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_) {
    return done_ >= ticket || !status_.ok();
  };
  mutex_.Await(absl::Condition(&is_over));
  return done_ >= ticket ? absl::OkStatus() : status_;
}

absl::Status CollectiveThread::status() const {
  absl::MutexLock lock(&mutex_);
  return status_;
}

void CollectiveThread::Run() {
  while (const std::optional<Posted> next = Take()) {
    Finish(*next,
           base::CatchExceptions([&] { return next->operation(group_); }));
  }
}

std::optional<CollectiveThread::Posted> CollectiveThread::Take() {
  absl::MutexLock lock(&mutex_);
  const auto has_work = [this]() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_) {
    return stopping_ || !queue_.empty();
  };
  mutex_.Await(absl::Condition(&has_work));
  if (stopping_) return std::nullopt;
  Posted next = std::move(queue_.front());
  queue_.pop_front();
  return next;
}

void CollectiveThread::Finish(const Posted& posted,
                              const absl::Status& status) {
  absl::MutexLock lock(&mutex_);
  if (status.ok()) {
    ++done_;
    return;
  }
  status_ = absl::Status(status.code(),
                         absl::StrCat(posted.name, ": ", status.message()));
  queue_.clear();
}

}  // namespace varalign::collective
