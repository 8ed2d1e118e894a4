#include "worker/departure.h"

#include <utility>

namespace varalign::worker {

void Departure::Leave(absl::Status why) {
  std::vector<std::function<void()>> actions;
  {
    absl::MutexLock lock(&mutex_);
    if (!why_.ok()) return;
    why_ = std::move(why);
    actions.swap(actions_);
  }
  for (const auto& action : actions) action();
}

absl::Status Departure::status() const {
  absl::MutexLock lock(&mutex_);
  return why_;
}

bool Departure::WaitFor(absl::Duration timeout) const {
  absl::MutexLock lock(&mutex_);
  const auto leaving = [this]() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_) {
    return !why_.ok();
  };
  return mutex_.AwaitWithTimeout(absl::Condition(&leaving), timeout);
}

void Departure::OnLeave(std::function<void()> action) {
  {
    absl::MutexLock lock(&mutex_);
    if (why_.ok()) {
      actions_.push_back(std::move(action));
      return;
    }
  }
  action();
}

}  // namespace varalign::worker
