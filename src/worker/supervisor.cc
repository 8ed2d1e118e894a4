#include "worker/supervisor.h"

#include <unistd.h>

#include <csignal>
#include <utility>

#include "absl/strings/str_cat.h"
#include "base/exit_code.h"
#include "base/logging.h"
#include "base/status_macros.h"
#include "worker/rank_flags.h"

namespace varalign::worker {
namespace {

// How soon the end of a trainer is noticed.
constexpr absl::Duration kWatchInterval = absl::Milliseconds(50);
// How long a supervisor that leaves waits for its last word to be heard.
constexpr absl::Duration kFarewell = absl::Seconds(2);
constexpr size_t kLastLinesBytes = 8 << 10;

bool SameGeneration(const v1::RankIdentity& a, const v1::RankIdentity& b) {
  return a.run_id() == b.run_id() && a.rank() == b.rank() &&
         a.token().incarnation() == b.token().incarnation() &&
         a.token().generation() == b.token().generation();
}

std::vector<std::string> CommandLine(const SupervisorOptions& options,
                                     const v1::StartRank& start) {
  const v1::RankIdentity& identity = start.identity();
  std::vector<std::string> command = {options.trainer.string()};
  for (std::string& argument : ToArguments(
           {.coordinator = options.coordinator,
            .reward_servers = options.reward_servers,
            .run_id = identity.run_id(),
            .incarnation = identity.token().incarnation(),
            .generation = identity.token().generation(),
            .rank = identity.rank(),
            .world_size = start.world_size(),
            .ranks_on_host = start.ranks_on_host(),
            .parent_pid = getpid(),
            .metrics = options.trainer_metrics,
            .metrics_address_file = options.trainer_metrics_address_file,
            .log_level = options.log_level})) {
    command.push_back(std::move(argument));
  }
  return command;
}

const char* ReasonOf(const base::ProcessExit& exit) {
  if (exit.ok()) return "done";
  if (exit.signal != 0) return "signal";
  return exit.code == base::kExitStopped ? "stopped" : "error";
}

}  // namespace

Supervisor::Supervisor(SupervisorOptions options, SlotLink& link,
                       const base::Clock& clock, SupervisorMetrics& metrics)
    : options_(std::move(options)),
      link_(link),
      clock_(clock),
      metrics_(metrics) {}

absl::Status Supervisor::Run(const std::function<bool()>& stop_requested) {
  absl::Status status;
  while (status.ok() && !stop_requested()) {
    if (const auto directive = link_.NextDirective(kWatchInterval)) {
      Handle(*directive);
    }
    Watch();
    metrics_.coordinator_connected.Set(link_.is_connected());
    status = link_.status();
  }
  Leave();
  return status;
}

// The coordinator hears of the trainer's end at once, not by its silence.
void Supervisor::Leave() {
  if (trainer_.has_value()) {
    Ended(trainer_->process.Stop(options_.stop_grace));
  }
  const absl::Duration deadline = clock_.MonotonicNow() + kFarewell;
  while (status_.has_value() && link_.status().ok() &&
         clock_.MonotonicNow() < deadline) {
    if (const auto directive = link_.NextDirective(kWatchInterval)) {
      if (directive->has_acknowledge_exit()) Handle(*directive);
    }
  }
}

void Supervisor::Handle(const v1::HeartbeatResponse& directive) {
  switch (directive.directive_case()) {
    case v1::HeartbeatResponse::kStart:
      return Start(directive.start());
    case v1::HeartbeatResponse::kStop:
      return Stop(directive.stop());
    case v1::HeartbeatResponse::kAcknowledgeExit:
      if (status_.has_value() && status_->exited() &&
          SameGeneration(status_->identity(),
                         directive.acknowledge_exit().identity())) {
        SetStatus(std::nullopt);
      }
      return;
    default:
      return;
  }
}

void Supervisor::Start(const v1::StartRank& start) {
  // A repeat of what was done, or a process whose end nobody knows yet.
  if (status_.has_value()) return;
  const v1::RankIdentity& identity = start.identity();
  log_file_ = options_.log_directory /
              absl::StrCat(identity.run_id(), "-rank", identity.rank(), "-g",
                           identity.token().generation(), ".log");

  v1::ProcessStatus status;
  *status.mutable_identity() = identity;
  base::ProcessOptions process;
  process.argv = CommandLine(options_, start);
  process.log_file = log_file_;
  auto spawned = base::Subprocess::Spawn(process);
  metrics_.trainer_starts.Increment();
  if (!spawned.ok()) {
    base::LogError("trainer_not_started",
                   {{"reason", std::string(spawned.status().message())}});
    status.set_exited(true);
    status.set_exit_code(base::kExitInternal);
    status.set_last_lines(
        absl::StrCat("cannot start the trainer: ", spawned.status().message()));
    return SetStatus(std::move(status));
  }
  base::LogInfo("trainer_started",
                {{"run", identity.run_id()},
                 {"rank", identity.rank()},
                 {"generation", identity.token().generation()},
                 {"pid", spawned->pid()},
                 {"log", log_file_.string()}});
  status.set_pid(static_cast<uint32_t>(spawned->pid()));
  trainer_.emplace(Trainer{.process = *std::move(spawned), .kill_at = {}});
  SetStatus(std::move(status));
}

void Supervisor::Stop(const v1::StopRank& stop) {
  if (!trainer_.has_value() || trainer_->kill_at.has_value() ||
      !SameGeneration(status_->identity(), stop.identity())) {
    return;
  }
  base::LogInfo("trainer_stopping", {{"reason", stop.reason()}});
  trainer_->process.Signal(SIGTERM);
  trainer_->kill_at = clock_.MonotonicNow() + options_.stop_grace;
}

void Supervisor::Watch() {
  if (!trainer_.has_value()) return;
  if (trainer_->kill_at.has_value() &&
      clock_.MonotonicNow() >= *trainer_->kill_at) {
    trainer_->process.Signal(SIGKILL);
  }
  if (const auto exit = trainer_->process.Poll()) Ended(*exit);
}

void Supervisor::Ended(const base::ProcessExit& exit) {
  base::LogInfo("trainer_ended", {{"how", exit.ToString()}});
  metrics_.trainer_exits.With({ReasonOf(exit)}).Increment();
  v1::ProcessStatus status = *status_;
  status.set_exited(true);
  status.set_exit_code(exit.code);
  status.set_signal(exit.signal);
  status.set_last_lines(base::TailOfFile(log_file_, kLastLinesBytes));
  trainer_.reset();
  SetStatus(std::move(status));
}

void Supervisor::SetStatus(std::optional<v1::ProcessStatus> status) {
  status_ = std::move(status);
  link_.SetProcess(status_);
}

}  // namespace varalign::worker
