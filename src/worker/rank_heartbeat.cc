#include "worker/rank_heartbeat.h"

#include "absl/strings/str_cat.h"
#include "rpc/backoff.h"
#include "rpc/status.h"

namespace varalign::worker {

RankHeartbeat::RankHeartbeat(CoordinatorClient& client,
                             const base::Clock& clock, Departure& departure,
                             absl::Duration grace)
    : client_(client), clock_(clock), departure_(departure), grace_(grace) {
  state_.mutable_progress()->set_activity("loading");
  thread_ = std::thread([this] { Run(); });
}

RankHeartbeat::~RankHeartbeat() {
  {
    absl::MutexLock lock(&mutex_);
    stopping_ = true;
    if (call_ != nullptr) call_->TryCancel();
  }
  thread_.join();
}

void RankHeartbeat::SetActivity(const std::string& activity) {
  SetProgress(activity, "", 0, 0);
}

void RankHeartbeat::SetProgress(const std::string& activity,
                                const std::string& unit, uint64_t done,
                                uint64_t total) {
  absl::MutexLock lock(&mutex_);
  state_.clear_progress();
  if (activity.empty()) return;
  state_.mutable_progress()->set_activity(activity);
  state_.mutable_progress()->set_done(done);
  state_.mutable_progress()->set_total(total);
  state_.mutable_progress()->set_unit(unit);
}

v1::RankHeartbeat RankHeartbeat::Snapshot() {
  absl::MutexLock lock(&mutex_);
  return state_;
}

void RankHeartbeat::Answered(const v1::HeartbeatResponse& response) {
  if (!response.has_stop()) return;
  departure_.Leave(absl::AbortedError(
      absl::StrCat("told to leave: ", response.stop().reason())));
}

void RankHeartbeat::Run() {
  rpc::Retrier retrier({.max = absl::Seconds(2), .budget = grace_},
                       client_.identity().rank());
  while (departure_.status().ok()) {
    grpc::ClientContext context;
    {
      absl::MutexLock lock(&mutex_);
      if (stopping_) return;
      call_ = &context;
    }
    const auto response = client_.Heartbeat(context, Snapshot());
    {
      absl::MutexLock lock(&mutex_);
      call_ = nullptr;
      if (stopping_) return;
    }
    if (response.ok()) {
      retrier.Reset();
      Answered(*response);
      continue;
    }
    const auto delay = retrier.NextDelay(clock_.MonotonicNow());
    if (!rpc::IsRetryable(response.status()) || !delay.has_value()) {
      departure_.Leave(response.status());
      return;
    }
    departure_.WaitFor(*delay);
  }
}

}  // namespace varalign::worker
