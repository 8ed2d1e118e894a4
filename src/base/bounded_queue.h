// A queue with a bound, between threads that hand work over.
#ifndef VARALIGN_BASE_BOUNDED_QUEUE_H_
#define VARALIGN_BASE_BOUNDED_QUEUE_H_

#include <cstddef>
#include <deque>
#include <optional>
#include <utility>

#include "absl/base/thread_annotations.h"
#include "absl/synchronization/mutex.h"
#include "absl/time/time.h"

namespace varalign::base {

// Thread safe; any number of producers and consumers. After Close, Push refuses
// and Pop hands out what is left and then nullopt.
template <typename T>
class BoundedQueue {
 public:
  explicit BoundedQueue(size_t capacity) : capacity_(capacity) {}

  // Waits for room. False: closed, or `timeout` passed; `value` is dropped.
  bool Push(T value, absl::Duration timeout = absl::InfiniteDuration()) {
    absl::MutexLock lock(&mutex_);
    auto ready = [this]() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_) {
      return closed_ || items_.size() < capacity_;
    };
    if (!mutex_.AwaitWithTimeout(absl::Condition(&ready), timeout))
      return false;
    if (closed_) return false;
    items_.push_back(std::move(value));
    return true;
  }

  // Waits for an item. nullopt: closed and empty, or `timeout` passed.
  std::optional<T> Pop(absl::Duration timeout = absl::InfiniteDuration()) {
    absl::MutexLock lock(&mutex_);
    auto ready = [this]() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_) {
      return closed_ || !items_.empty();
    };
    mutex_.AwaitWithTimeout(absl::Condition(&ready), timeout);
    if (items_.empty()) return std::nullopt;
    T value = std::move(items_.front());
    items_.pop_front();
    return value;
  }

  void Close() {
    absl::MutexLock lock(&mutex_);
    closed_ = true;
  }

  size_t size() const {
    absl::MutexLock lock(&mutex_);
    return items_.size();
  }

 private:
  const size_t capacity_;
  mutable absl::Mutex mutex_;
  std::deque<T> items_ ABSL_GUARDED_BY(mutex_);
  bool closed_ ABSL_GUARDED_BY(mutex_) = false;
};

}  // namespace varalign::base

#endif  // VARALIGN_BASE_BOUNDED_QUEUE_H_
