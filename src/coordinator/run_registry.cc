#include "coordinator/run_registry.h"

#include <algorithm>
#include <filesystem>
#include <set>
#include <system_error>

#include "absl/strings/str_cat.h"
#include "base/checkpoint_name.h"
#include "base/logging.h"
#include "base/status_macros.h"
#include "base/version.h"
#include "coordinator/run_state.h"

namespace varalign::coordinator {
namespace {

constexpr absl::Duration kTickInterval = absl::Milliseconds(100);
// How often a waiting call looks whether its caller is still there.
constexpr absl::Duration kGoneInterval = absl::Milliseconds(200);

void LogStateChange(const AddEvent& add) {
  if (!add.event.has_state()) return;
  const v1::StateChange& change = add.event.state();
  base::LogInfo("run_state", {{"run", add.run_id},
                              {"from", std::string(StateWord(change.from()))},
                              {"to", std::string(StateWord(change.to()))},
                              {"generation", change.generation()},
                              {"reason", change.reason()}});
}

}  // namespace

RunRegistry::RunRegistry(const Rules& rules, StoredState stored,
                         RunDatabase& database, EventFiles& files,
                         Metrics& metrics, const base::Clock& clock)
    : rules_(rules),
      files_(files),
      metrics_(metrics),
      clock_(clock),
      state_(rules, std::move(stored), ReadClock()),
      queue_(database, clock,
             [this](const Changes& changes) { OnDurable(changes); }),
      ticks_([this] { RunTicks(); }) {
  // What the start itself has changed is there for those who ask; if it cannot
  // be kept, health() says so.
  const uint64_t ticket = [this] {
    absl::MutexLock lock(&mutex_);
    return Publish();
  }();
  queue_.AwaitDurable(ticket, rules_.commit_limit).IgnoreError();
}

RunRegistry::~RunRegistry() {
  StopWaiting();
  ticks_.join();
}

Now RunRegistry::ReadClock() const {
  return {.monotonic = clock_.MonotonicNow(), .wall = clock_.WallNow()};
}

uint64_t RunRegistry::Publish() {
  Effects effects = state_.TakeEffects();
  if (effects.wakes) ++wakeups_;
  for (RunProgress& progress : effects.progress) {
    news_.progress = std::move(progress);
    news_.progress_number = ++news_.number;
  }
  return queue_.Enqueue(std::move(effects.changes));
}

void RunRegistry::OnDurable(const Changes& changes) {
  metrics_.Observe(changes);
  std::set<std::string> runs;
  for (const Change& change : changes) {
    if (const auto* add = std::get_if<AddEvent>(&change)) {
      runs.insert(add->run_id);
      LogStateChange(*add);
    }
  }
  for (const std::string& run_id : runs) files_.Follow(run_id);
  if (runs.empty()) return;
  absl::MutexLock lock(&mutex_);
  ++news_.number;
}

void RunRegistry::RunTicks() {
  absl::MutexLock lock(&mutex_);
  while (!stopping_) {
    const Now now = ReadClock();
    // Heartbeats wait for the disk with all other calls: that their senders do
    // not call again is not their silence.
    if (queue_.Delay() > rules_.sleep_limit) state_.ForgiveSilence(now);
    state_.Tick(now);
    Publish();
    const size_t idle = state_.num_idle_slots();
    metrics_.SetWorkers(idle, state_.num_slots() - idle);
    mutex_.AwaitWithTimeout(absl::Condition(&stopping_), kTickInterval);
  }
}

// Decides under the mutex, waits for the disk outside of it. A refusal waits
// too: it may rest on what is not durable yet.
template <typename Decide>
auto RunRegistry::Apply(Decide decide)
    -> decltype(decide(std::declval<Now>())) {
  uint64_t ticket = 0;
  auto result = [&] {
    absl::MutexLock lock(&mutex_);
    auto decided = decide(ReadClock());
    ticket = Publish();
    return decided;
  }();
  RETURN_IF_ERROR(queue_.AwaitDurable(ticket, rules_.commit_limit));
  return result;
}

// Calls attempt(now, is_first) until it has a reply or an error. nullopt: the
// wait is over.
template <typename Reply, typename Attempt>
absl::StatusOr<std::optional<Reply>> RunRegistry::AwaitReply(
    Attempt attempt, const CallWait& wait) {
  const absl::Duration deadline = clock_.MonotonicNow() + wait.limit;
  absl::StatusOr<std::optional<Reply>> reply = std::nullopt;
  uint64_t ticket = 0;
  for (bool is_first = true;; is_first = false) {
    absl::MutexLock lock(&mutex_);
    const uint64_t seen = wakeups_;
    reply = attempt(ReadClock(), is_first);
    ticket = Publish();
    if (!reply.ok() || reply->has_value() || stopping_) break;
    const auto is_woken = [&]() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_) {
      return wakeups_ != seen || stopping_;
    };
    bool is_over = false;
    while (!is_over) {
      const absl::Duration left = deadline - clock_.MonotonicNow();
      if (mutex_.AwaitWithTimeout(absl::Condition(&is_woken),
                                  std::min(left, kGoneInterval))) {
        break;
      }
      is_over = left <= kGoneInterval || wait.caller_is_gone();
    }
    if (is_over || wait.caller_is_gone()) break;
  }
  RETURN_IF_ERROR(queue_.AwaitDurable(ticket, rules_.commit_limit));
  return reply;
}

absl::StatusOr<v1::Run> RunRegistry::AddRun(const PutRequest& request,
                                            v1::Run run) {
  return Apply([&](const Now& now) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_) {
    return state_.AddRun(request, std::move(run), now);
  });
}

absl::StatusOr<v1::Run> RunRegistry::ResumeRun(const PutRequest& request,
                                               RunRecord record,
                                               uint64_t tokens) {
  return Apply([&](const Now& now) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_) {
    return state_.ResumeRun(request, std::move(record), tokens, now);
  });
}

absl::StatusOr<v1::Run> RunRegistry::CancelRun(const std::string& run_id) {
  return Apply([&](const Now& now) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_) {
    return state_.CancelRun(run_id, now);
  });
}

std::vector<v1::SlotStatus> RunRegistry::Slots() {
  absl::MutexLock lock(&mutex_);
  return state_.Slots();
}

absl::StatusOr<v1::RegisterResponse> RunRegistry::Register(
    const v1::RegisterRequest& request) {
  RETURN_IF_ERROR(Apply([&](const Now& now) ABSL_EXCLUSIVE_LOCKS_REQUIRED(
                            mutex_) { return state_.Register(request, now); }));
  v1::RegisterResponse response;
  absl::MutexLock lock(&mutex_);
  response.set_incarnation(state_.incarnation());
  return response;
}

absl::StatusOr<v1::HeartbeatResponse> RunRegistry::Heartbeat(
    const v1::HeartbeatRequest& request, const CallWait& wait) {
  using Reply = v1::HeartbeatResponse;
  absl::Duration arrived_at;
  ASSIGN_OR_RETURN(
      std::optional<Reply> reply,
      AwaitReply<Reply>(
          [&](const Now& now, bool is_first)
              ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_) {
                if (!is_first) return state_.Poll(request, now);
                arrived_at = now.monotonic;
                return state_.Hear(request, now);
              },
          {.limit = std::min(wait.limit, rules_.heartbeat_interval),
           .caller_is_gone = wait.caller_is_gone}));
  const bool is_gone = wait.caller_is_gone();
  absl::MutexLock lock(&mutex_);
  if (is_gone) {
    state_.Abandoned(request, arrived_at, ReadClock());
  } else {
    state_.Answered(request, ReadClock());
  }
  return reply.value_or(Reply());
}

absl::StatusOr<v1::LeaseStepsResponse> RunRegistry::LeaseSteps(
    const v1::LeaseStepsRequest& request) {
  return Apply([&](const Now& now) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_) {
    return state_.LeaseSteps(request, now);
  });
}

absl::Status RunRegistry::Report(const v1::ReportStepRequest& request) {
  return Apply([&](const Now& now) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_) {
    return state_.Report(request, now);
  });
}

absl::StatusOr<v1::Run> RunRegistry::RunOf(const v1::RankIdentity& identity) {
  return Apply([&](const Now& now) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_) {
    return state_.RunOf(identity, now);
  });
}

absl::StatusOr<v1::CommitCheckpointResponse> RunRegistry::CommitCheckpoint(
    const v1::CommitCheckpointRequest& request, const CallWait& wait) {
  using Reply = v1::CommitCheckpointResponse;
  if (request.confirm()) {
    ASSIGN_OR_RETURN(const v1::Run run, RunOf(request.identity()));
    const auto manifest = base::CheckpointRoot(run.directory()) /
                          base::CheckpointName(request.step()) /
                          "MANIFEST.json";
    std::error_code error;
    if (!std::filesystem::exists(manifest, error)) {
      return absl::FailedPreconditionError(absl::StrCat(
          "the coordinator does not see the checkpoint: do workers and "
          "coordinator share the run directory? missing: ",
          manifest.string()));
    }
  }
  Reply pending;
  pending.set_outcome(Reply::PENDING);
  ASSIGN_OR_RETURN(
      std::optional<Reply> reply,
      AwaitReply<Reply>(
          [&](const Now& now, bool) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_) {
            return state_.CommitCheckpoint(request, now);
          },
          wait));
  return std::move(reply).value_or(pending);
}

absl::StatusOr<v1::FixConstantsResponse> RunRegistry::FixConstants(
    const v1::FixConstantsRequest& request, const CallWait& wait) {
  ASSIGN_OR_RETURN(
      const std::optional<v1::Constants> constants,
      AwaitReply<v1::Constants>(
          [&](const Now& now, bool) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_) {
            return state_.FixConstants(request, now);
          },
          wait));
  v1::FixConstantsResponse response;
  if (constants) *response.mutable_constants() = *constants;
  return response;
}

absl::Status RunRegistry::StoreSet(const v1::StoreSetRequest& request) {
  return Apply([&](const Now& now) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_) {
    return state_.StoreSet(request, now);
  });
}

absl::StatusOr<v1::StoreGetResponse> RunRegistry::StoreGet(
    const v1::StoreGetRequest& request, const CallWait& wait) {
  ASSIGN_OR_RETURN(const std::optional<std::string> value,
                   AwaitReply<std::string>(
                       [&](const Now& now, bool) ABSL_EXCLUSIVE_LOCKS_REQUIRED(
                           mutex_) { return state_.StoreGet(request, now); },
                       wait));
  v1::StoreGetResponse response;
  if (value) response.set_value(*value);
  return response;
}

News RunRegistry::LatestNews() {
  absl::MutexLock lock(&mutex_);
  return news_;
}

News RunRegistry::AwaitNews(uint64_t seen, absl::Duration limit) {
  absl::MutexLock lock(&mutex_);
  const auto is_newer = [&]() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_) {
    return news_.number > seen || stopping_;
  };
  mutex_.AwaitWithTimeout(absl::Condition(&is_newer), limit);
  return news_;
}

absl::Status RunRegistry::Settle() {
  return queue_.AwaitDurable(queue_.Enqueue({}), rules_.commit_limit);
}

void RunRegistry::StopWaiting() {
  absl::MutexLock lock(&mutex_);
  stopping_ = true;
}

}  // namespace varalign::coordinator
