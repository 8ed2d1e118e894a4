#include "worker/weight_lane.h"

#include <algorithm>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"
#include "base/logging.h"
#include "base/status_macros.h"
#include "rpc/backoff.h"
#include "rpc/call.h"
#include "rpc/channel.h"
#include "rpc/proto_time.h"
#include "rpc/status.h"

namespace varalign::worker {
namespace {

// A stream lives as long as the run; it is opened again after that.
constexpr absl::Duration kStreamLifetime = absl::Hours(24);
constexpr absl::Duration kPoll = absl::Milliseconds(200);
constexpr rpc::BackoffOptions kReconnect = {.max = absl::Seconds(5),
                                            .budget = absl::InfiniteDuration()};

}  // namespace

absl::StatusOr<std::unique_ptr<WeightLane>> WeightLane::Start(
    Options options, Callbacks callbacks, const base::Clock& clock) {
  ASSIGN_OR_RETURN(const auto channel,
                   rpc::MakeChannel(options.server, rpc::kScoreChannel));
  return std::unique_ptr<WeightLane>(
      new WeightLane(std::move(options), std::move(callbacks), clock,
                     v1::ScoringService::NewStub(channel)));
}

WeightLane::WeightLane(Options options, Callbacks callbacks,
                       const base::Clock& clock,
                       std::unique_ptr<v1::ScoringService::Stub> stub)
    : options_(std::move(options)),
      callbacks_(std::move(callbacks)),
      clock_(clock),
      stub_(std::move(stub)),
      thread_([this] { Run(); }) {}

WeightLane::~WeightLane() {
  Stop();
  Join();
}

void WeightLane::Join() {
  if (thread_.joinable()) thread_.join();
}

void WeightLane::Stop() {
  absl::MutexLock lock(&mutex_);
  stopping_ = true;
  if (context_ != nullptr) context_->TryCancel();
}

void WeightLane::Send(WeightJob job) {
  absl::MutexLock lock(&mutex_);
  const uint64_t ticket = job.ticket;
  waiting_.emplace(ticket, std::move(job));
}

std::optional<uint64_t> WeightLane::Ready() const {
  const absl::Duration now = clock_.MonotonicNow();
  for (const auto& [ticket, job] : waiting_) {
    if (job.not_before > now) continue;
    // In the order of tickets: later groups do not overtake for their size.
    const bool fits =
        under_way_.empty() || tokens_under_way_ + job.tokens <= credit_;
    return fits ? std::optional(ticket) : std::nullopt;
  }
  return std::nullopt;
}

void WeightLane::TakeBack() {
  for (auto& [id, job] : under_way_) {
    const uint64_t ticket = job.ticket;
    ++job.attempts;
    waiting_.emplace(ticket, std::move(job));
  }
  under_way_.clear();
  tokens_under_way_ = 0;
}

void WeightLane::Run() {
  rpc::Retrier retrier(kReconnect, options_.seed);
  while (AwaitJobs()) {
    const absl::Status ended = Serve();
    {
      absl::MutexLock lock(&mutex_);
      if (stopping_) return;
      TakeBack();
      if (answered_) retrier.Reset();
      answered_ = false;
    }
    if (!ended.ok() && !rpc::MaySucceedLater(ended)) {
      FailAll(ended);
      continue;
    }
    // Before any moves on: among servers that are all lost a job would go round
    // for ever.
    FailLate();
    MoveOn();
    if (ended.ok()) continue;
    base::LogWarning("reward_stream_lost",
                     {{"server", options_.server},
                      {"reason", std::string(ended.message())}});
    Pause(retrier.NextDelay(clock_.MonotonicNow()).value_or(kReconnect.max));
  }
}

bool WeightLane::AwaitJobs() {
  absl::MutexLock lock(&mutex_);
  const auto wanted = [this]() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_) {
    return stopping_ || !waiting_.empty();
  };
  mutex_.Await(absl::Condition(&wanted));
  return !stopping_;
}

void WeightLane::Pause(absl::Duration delay) {
  absl::MutexLock lock(&mutex_);
  const auto stopping = [this]() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_) {
    return stopping_;
  };
  mutex_.AwaitWithTimeout(absl::Condition(&stopping),
                          std::min(delay, TimeLeft()));
}

absl::Duration WeightLane::TimeLeft() const {
  absl::Duration first = absl::InfiniteDuration();
  for (const auto& [ticket, job] : waiting_) {
    first = std::min(first, callbacks_.give_up_at(ticket));
  }
  return first - clock_.MonotonicNow();
}

void WeightLane::MoveOn() {
  std::map<uint64_t, WeightJob> jobs;
  {
    absl::MutexLock lock(&mutex_);
    jobs.swap(waiting_);
  }
  // It was this server that asked for patience.
  for (auto& [ticket, job] : jobs) job.not_before = absl::ZeroDuration();
  if (jobs.empty() || callbacks_.on_lost(jobs)) return;
  absl::MutexLock lock(&mutex_);
  waiting_.merge(jobs);
}

absl::Status WeightLane::Serve() {
  grpc::ClientContext context;
  rpc::SetDeadline(context, kStreamLifetime);
  {
    absl::MutexLock lock(&mutex_);
    if (stopping_) return absl::OkStatus();
    context_ = &context;
    broken_ = draining_ = false;
    last_group_id_ = 0;
  }
  const std::unique_ptr<Stream> stream = stub_->StreamWeights(&context);
  const absl::Status opened = OpenStream(*stream);
  if (opened.ok()) {
    std::thread reader([this, &stream] { ReadAnswers(*stream); });
    WriteJobs(*stream);
    stream->WritesDone();
    reader.join();
  }
  const absl::Status finished = rpc::FromGrpc(stream->Finish());
  absl::MutexLock lock(&mutex_);
  context_ = nullptr;
  // The server's reason, unless the stream ended by our own hand or by none.
  const bool has_reason = !finished.ok() && !absl::IsCancelled(finished);
  return opened.ok() || has_reason ? finished : opened;
}

absl::Status WeightLane::OpenStream(Stream& stream) {
  v1::WeightRequest request;
  *request.mutable_open() = options_.open;
  v1::WeightResponse response;
  if (!stream.Write(request) || !stream.Read(&response)) {
    return absl::UnavailableError("the stream was not opened");
  }
  absl::MutexLock lock(&mutex_);
  if (!response.has_opened()) {
    // The server may keep the stream open and say no more: Finish would wait.
    context_->TryCancel();
    return response.has_draining()
               ? absl::UnavailableError("the server is draining")
               : absl::InternalError(
                     "the first answer of a stream was not Opened; is the "
                     "server of this version?");
  }
  credit_ = response.opened().token_credit();
  return absl::OkStatus();
}

void WeightLane::WriteJobs(Stream& stream) {
  while (true) {
    v1::WeightRequest request;
    {
      absl::MutexLock lock(&mutex_);
      const auto ready = [this]() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_) {
        return stopping_ || broken_ || draining_ || Ready().has_value();
      };
      mutex_.AwaitWithTimeout(absl::Condition(&ready), kPoll);
      if (stopping_ || broken_ || draining_) return;
      const std::optional<uint64_t> ticket = Ready();
      if (!ticket.has_value()) continue;
      auto node = waiting_.extract(*ticket);
      WeightJob& job = node.mapped();
      *request.mutable_group() = job.group;
      request.mutable_group()->set_group_id(++last_group_id_);
      const absl::Duration give_up_at = callbacks_.give_up_at(*ticket);
      if (give_up_at < absl::InfiniteDuration()) {
        *request.mutable_group()->mutable_time_left() =
            rpc::ToProto(give_up_at - clock_.MonotonicNow());
      }
      tokens_under_way_ += job.tokens;
      under_way_.emplace(last_group_id_, std::move(job));
    }
    if (!stream.Write(request)) return;
  }
}

void WeightLane::ReadAnswers(Stream& stream) {
  v1::WeightResponse response;
  while (stream.Read(&response)) Take(response);
  absl::MutexLock lock(&mutex_);
  broken_ = true;
}

void WeightLane::Take(const v1::WeightResponse& response) {
  if (response.has_error()) return TakeError(response.error());
  uint64_t ticket = 0;
  {
    absl::MutexLock lock(&mutex_);
    answered_ = true;
    if (response.has_draining()) draining_ = true;
    if (!response.has_weights()) return;
    const auto found = under_way_.find(response.weights().group_id());
    if (found == under_way_.end()) return;
    ticket = found->second.ticket;
    tokens_under_way_ -= found->second.tokens;
    under_way_.erase(found);
  }
  callbacks_.on_answer(ticket, response.weights());
}

void WeightLane::TakeError(const v1::GroupError& error) {
  const absl::Status status(
      static_cast<absl::StatusCode>(error.code()),
      absl::StrCat("reward server ", options_.server, ": ", error.message()));
  uint64_t ticket = 0;
  {
    absl::MutexLock lock(&mutex_);
    auto node = under_way_.extract(error.group_id());
    if (node.empty()) return;
    WeightJob& job = node.mapped();
    ticket = job.ticket;
    tokens_under_way_ -= job.tokens;
    const absl::Duration now = clock_.MonotonicNow();
    if (rpc::MaySucceedLater(status) && now < callbacks_.give_up_at(ticket)) {
      job.not_before =
          now + rpc::BackoffDelay(kReconnect, ++job.attempts, ticket);
      waiting_.emplace(ticket, std::move(job));
      return;
    }
  }
  callbacks_.on_answer(ticket, status);
}

void WeightLane::FailLate() {
  std::vector<uint64_t> late;
  {
    absl::MutexLock lock(&mutex_);
    const absl::Duration now = clock_.MonotonicNow();
    for (auto job = waiting_.begin(); job != waiting_.end();) {
      if (callbacks_.give_up_at(job->first) > now) {
        ++job;
        continue;
      }
      late.push_back(job->first);
      job = waiting_.erase(job);
    }
  }
  for (const uint64_t ticket : late) {
    callbacks_.on_answer(
        ticket, absl::UnavailableError(absl::StrCat(
                    "reward server does not answer: ", options_.server)));
  }
}

void WeightLane::FailAll(const absl::Status& status) {
  std::map<uint64_t, WeightJob> jobs;
  {
    absl::MutexLock lock(&mutex_);
    jobs.swap(waiting_);
  }
  for (const auto& [ticket, job] : jobs) {
    callbacks_.on_answer(
        ticket, absl::Status(status.code(),
                             absl::StrCat("reward server ", options_.server,
                                          ": ", status.message())));
  }
}

}  // namespace varalign::worker
