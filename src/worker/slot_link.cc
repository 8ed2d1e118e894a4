#include "worker/slot_link.h"

#include <functional>
#include <utility>

#include "absl/strings/str_cat.h"
#include "base/logging.h"
#include "base/status_macros.h"
#include "rpc/backoff.h"
#include "rpc/call.h"
#include "rpc/channel.h"
#include "rpc/status.h"

namespace varalign::worker {
namespace {

constexpr size_t kMaxDirectives = 16;
constexpr absl::Duration kCallTimeout = absl::Seconds(30);
constexpr absl::Duration kPushTimeout = absl::Seconds(5);
// Without a coordinator for so long, somebody may look why nothing happens.
constexpr absl::Duration kSilentFor = absl::Seconds(1);

}  // namespace

absl::StatusOr<std::unique_ptr<SlotLink>> SlotLink::Start(
    Options options, const base::Clock& clock) {
  ASSIGN_OR_RETURN(const auto channel, rpc::MakeChannel(options.target));
  auto stub = v1::WorkerService::NewStub(channel);
  return std::unique_ptr<SlotLink>(
      new SlotLink(std::move(options), clock, std::move(stub)));
}

SlotLink::SlotLink(Options options, const base::Clock& clock,
                   std::unique_ptr<v1::WorkerService::Stub> stub)
    : options_(std::move(options)),
      clock_(clock),
      stub_(std::move(stub)),
      directives_(kMaxDirectives),
      thread_([this] { Run(); }) {}

SlotLink::~SlotLink() {
  {
    absl::MutexLock lock(&mutex_);
    stopping_ = true;
    if (call_ != nullptr) call_->TryCancel();
  }
  directives_.Close();
  thread_.join();
}

std::optional<v1::HeartbeatResponse> SlotLink::NextDirective(
    absl::Duration timeout) {
  {
    absl::MutexLock lock(&mutex_);
    if (handed_out_) unhandled_ = handed_out_ = false;
  }
  std::optional<v1::HeartbeatResponse> directive = directives_.Pop(timeout);
  if (directive.has_value()) {
    absl::MutexLock lock(&mutex_);
    handed_out_ = true;
  }
  return directive;
}

void SlotLink::HandOver(const v1::HeartbeatResponse& directive) {
  {
    absl::MutexLock lock(&mutex_);
    unhandled_ = true;
  }
  directives_.Push(directive, kPushTimeout);
  absl::MutexLock lock(&mutex_);
  const auto handled = [this]() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_) {
    return stopping_ || !unhandled_;
  };
  mutex_.AwaitWithTimeout(absl::Condition(&handled), kPushTimeout);
}

void SlotLink::SetProcess(const std::optional<v1::ProcessStatus>& process) {
  absl::MutexLock lock(&mutex_);
  process_ = process;
  process_changed_ = true;
  if (call_ != nullptr && registered_) call_->TryCancel();
}

bool SlotLink::is_connected() const {
  absl::MutexLock lock(&mutex_);
  return registered_;
}

absl::Status SlotLink::status() const {
  absl::MutexLock lock(&mutex_);
  return lost_;
}

template <typename Call>
auto SlotLink::Cancellable(Call&& call) {
  grpc::ClientContext context;
  rpc::SetDeadline(context, kCallTimeout);
  {
    absl::MutexLock lock(&mutex_);
    call_ = &context;
    if (stopping_ || (registered_ && process_changed_)) context.TryCancel();
  }
  auto response = std::forward<Call>(call)(context);
  absl::MutexLock lock(&mutex_);
  call_ = nullptr;
  return response;
}

absl::Status SlotLink::Register() {
  const auto response = Cancellable([this](grpc::ClientContext& context) {
    return rpc::Call(context, *stub_, &v1::WorkerService::Stub::Register,
                     options_.slot);
  });
  RETURN_IF_ERROR(response.status());
  base::LogInfo("registered", {{"slot", options_.slot.slot_id()},
                               {"coordinator", options_.target},
                               {"incarnation", response->incarnation()}});
  absl::MutexLock lock(&mutex_);
  registered_ = was_registered_ = true;
  return absl::OkStatus();
}

absl::Status SlotLink::Beat() {
  v1::HeartbeatRequest request;
  request.mutable_slot()->set_slot_id(options_.slot.slot_id());
  {
    absl::MutexLock lock(&mutex_);
    process_changed_ = false;
    if (process_.has_value()) {
      *request.mutable_slot()->mutable_process() = *process_;
    }
  }
  const auto response = Cancellable([&](grpc::ClientContext& context) {
    return rpc::Call(context, *stub_, &v1::WorkerService::Stub::Heartbeat,
                     request);
  });
  if (!response.ok()) {
    absl::MutexLock lock(&mutex_);
    // Cancelled by ourselves: there is news to tell.
    return process_changed_ ? absl::OkStatus() : response.status();
  }
  if (response->has_register_again()) {
    absl::MutexLock lock(&mutex_);
    registered_ = false;
    return absl::OkStatus();
  }
  if (response->directive_case() != v1::HeartbeatResponse::DIRECTIVE_NOT_SET) {
    HandOver(*response);
  }
  return absl::OkStatus();
}

void SlotLink::LogWaiting(std::optional<absl::Duration>& failing_since) const {
  const absl::Duration now = clock_.MonotonicNow();
  if (!failing_since.has_value()) failing_since = now;
  if (now - *failing_since < kSilentFor) return;
  failing_since = absl::InfiniteDuration();  // once is enough
  base::LogWarning("waiting_for_coordinator",
                   {{"coordinator", options_.target}});
}

void SlotLink::Run() {
  const auto seed = static_cast<uint64_t>(options_.slot.pid());
  rpc::Retrier start(
      {.max = absl::Seconds(2), .budget = options_.start_patience}, seed);
  rpc::Retrier later({.max = absl::Seconds(2), .budget = options_.grace}, seed);
  std::optional<absl::Duration> failing_since;
  while (true) {
    bool registered = false, known = false;
    {
      absl::MutexLock lock(&mutex_);
      if (stopping_) return;
      registered = registered_;
      known = was_registered_;
    }
    const absl::Status status = registered ? Beat() : Register();
    if (status.ok()) {
      start.Reset();
      later.Reset();
      failing_since.reset();
      continue;
    }
    rpc::Retrier& retrier = known ? later : start;
    const auto delay = retrier.NextDelay(clock_.MonotonicNow());
    LogWaiting(failing_since);
    if (!AwaitNextCall(status, delay)) return;
  }
}

bool SlotLink::AwaitNextCall(const absl::Status& failure,
                             std::optional<absl::Duration> delay) {
  absl::MutexLock lock(&mutex_);
  if (stopping_) return false;
  // Heartbeats of an unknown slot are answered by RegisterAgain; after any
  // other error registration does no harm.
  registered_ = false;
  lost_ = LossOf(failure, delay.has_value());
  if (!lost_.ok()) return false;
  const auto stopping = [this]() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_) {
    return stopping_;
  };
  mutex_.AwaitWithTimeout(absl::Condition(&stopping), *delay);
  return true;
}

absl::Status SlotLink::LossOf(const absl::Status& failure,
                              bool is_patient) const {
  if (absl::IsUnimplemented(failure)) {
    return absl::UnavailableError(
        absl::StrCat("no coordinator listens there, but something else: "
                     "--coordinator ",
                     options_.target));
  }
  if (!rpc::IsRetryable(failure) && !absl::IsNotFound(failure)) return failure;
  if (is_patient) return absl::OkStatus();
  return absl::UnavailableError(
      absl::StrCat("coordinator does not answer, is it running? --coordinator ",
                   options_.target, ": ", std::string(failure.message())));
}

}  // namespace varalign::worker
