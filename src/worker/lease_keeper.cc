#include "worker/lease_keeper.h"

#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"
#include "base/status_macros.h"
#include "rpc/proto_time.h"

namespace varalign::worker {
namespace {

// Between two questions of which the first had no answer yet.
constexpr absl::Duration kAskAgain = absl::Milliseconds(100);
constexpr absl::Duration kPoll = absl::Seconds(1);

// An empty lease that says how the run ends here: none follows it.
bool IsLast(const LeaseKeeper::Lease& lease) {
  return lease.begin == lease.end &&
         (lease.then == v1::LeaseStepsResponse::FINISH ||
          lease.then == v1::LeaseStepsResponse::SAVE_AND_STOP);
}

}  // namespace

LeaseKeeper::LeaseKeeper(uint64_t start_step, Ask ask, const base::Clock& clock,
                         Departure& departure)
    : ask_(std::move(ask)),
      clock_(clock),
      departure_(departure),
      step_(start_step),
      current_{.begin = start_step, .end = start_step, .expires = {}},
      thread_([this] { Run(); }) {}

LeaseKeeper::~LeaseKeeper() {
  {
    absl::MutexLock lock(&mutex_);
    stopping_ = true;
  }
  thread_.join();
}

bool LeaseKeeper::IsExpired(const Lease& lease) const {
  return clock_.MonotonicNow() >= lease.expires;
}

std::optional<uint64_t> LeaseKeeper::Wanted() const {
  if (renew_) return current_.begin;
  if (next_.has_value() || IsLast(current_)) return std::nullopt;
  // From the middle of a lease on.
  const uint64_t middle = current_.begin + (current_.end - current_.begin) / 2;
  if (step_ < middle) return std::nullopt;
  return current_.end;
}

absl::StatusOr<Permit> LeaseKeeper::Await(uint64_t step) {
  while (true) {
    RETURN_IF_ERROR(departure_.status());
    absl::MutexLock lock(&mutex_);
    step_ = step;
    if (step >= current_.end && next_.has_value()) {
      current_ = *std::exchange(next_, std::nullopt);
      renew_ = false;
    }
    if (step == current_.end && IsLast(current_)) {
      return current_.then == v1::LeaseStepsResponse::FINISH
                 ? Permit::kFinish
                 : Permit::kSaveAndStop;
    }
    if (step < current_.end) {
      if (!IsExpired(current_)) return Permit::kRun;
      renew_ = true;
    }
    const auto answered = [this]() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_) {
      return !renew_ && (step_ < current_.end || next_.has_value());
    };
    mutex_.AwaitWithTimeout(absl::Condition(&answered), kPoll);
  }
}

void LeaseKeeper::Run() {
  std::optional<Wish> wish;
  while (AwaitWish(wish)) {
    if (!departure_.status().ok()) return;
    if (!wish.has_value()) continue;

    // The coordinator counts from some time after this: we stop before it does.
    const absl::Duration asked_at = clock_.MonotonicNow();
    const absl::StatusOr<v1::LeaseStepsResponse> answer = ask_(wish->begin);
    if (!answer.ok()) {
      departure_.Leave(answer.status());
      return;
    }
    if (answer->then() == v1::LeaseStepsResponse::ASK_AGAIN &&
        answer->begin() == answer->end()) {
      departure_.WaitFor(kAskAgain);
      continue;
    }
    Take({.begin = answer->begin(),
          .end = answer->end(),
          .then = answer->then(),
          .expires = asked_at + rpc::FromProto(answer->valid_for())},
         *wish);
  }
}

bool LeaseKeeper::AwaitWish(std::optional<Wish>& wish) {
  absl::MutexLock lock(&mutex_);
  const auto ready = [this]() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_) {
    return stopping_ || Wanted().has_value();
  };
  mutex_.AwaitWithTimeout(absl::Condition(&ready), kPoll);
  wish.reset();
  if (const std::optional<uint64_t> begin = Wanted(); begin.has_value()) {
    wish = Wish{.begin = *begin, .is_renewal = renew_};
  }
  return !stopping_;
}

void LeaseKeeper::Take(const Lease& lease, const Wish& wish) {
  absl::MutexLock lock(&mutex_);
  if (wish.is_renewal) {
    current_.expires = lease.expires;
    renew_ = false;
  } else {
    next_ = lease;
  }
}

}  // namespace varalign::worker
