#include "collective/meeting.h"

#include <utility>

#include "absl/strings/str_cat.h"
#include "base/status_macros.h"

namespace varalign::collective {

Meeting::Meeting(int size, absl::Duration timeout)
    : size_(size), timeout_(timeout), parts_(static_cast<size_t>(size)) {}

absl::Status Meeting::Enter(int rank, Part part) {
  absl::MutexLock lock(&mutex_);
  parts_[static_cast<size_t>(rank)] = std::move(part);
  RETURN_IF_ERROR(AwaitAll());
  // Every rank sees the same parts, so all of them return the same.
  return CheckParts();
}

absl::Status Meeting::Await() {
  absl::MutexLock lock(&mutex_);
  return AwaitAll();
}

at::Tensor Meeting::tensor(int rank) const {
  absl::MutexLock lock(&mutex_);
  return parts_[static_cast<size_t>(rank)].tensor;
}

void Meeting::End(absl::Status reason) {
  absl::MutexLock lock(&mutex_);
  if (end_.ok()) end_ = std::move(reason);
}

absl::Status Meeting::AwaitAll() {
  if (!end_.ok()) {
    return absl::AbortedError(
        absl::StrCat("the group is over: ", end_.message()));
  }
  const size_t round = round_;
  if (++arrived_ == size_) {
    arrived_ = 0;
    ++round_;
    return absl::OkStatus();
  }
  const auto moved_on = [this, round]() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_) {
    return round_ != round || !end_.ok();
  };
  if (!mutex_.AwaitWithTimeout(absl::Condition(&moved_on), timeout_)) {
    end_ = absl::DeadlineExceededError(absl::StrCat(
        "a peer did not arrive within ", absl::FormatDuration(timeout_),
        "; ranks that did: ", arrived_, " of ", size_));
  }
  // A rank that leaves after the last round must not fail those that wake late.
  return round_ != round ? absl::OkStatus() : end_;
}

absl::Status Meeting::CheckParts() const {
  const Part& first = parts_.front();
  for (const Part& part : parts_) {
    bool fits = part.verb == first.verb && part.root == first.root;
    if (fits && first.tensor.defined()) {
      fits = part.tensor.numel() == first.tensor.numel() &&
             part.tensor.scalar_type() == first.tensor.scalar_type();
    }
    if (!fits) {
      return absl::InvalidArgumentError(
          "ranks issued different verbs, roots, sizes or dtypes");
    }
  }
  return absl::OkStatus();
}

}  // namespace varalign::collective
