#include "cli/local_service.h"

#include <optional>

#include "absl/strings/str_cat.h"
#include "absl/strings/strip.h"
#include "absl/time/clock.h"
#include "base/exit_code.h"
#include "base/file.h"
#include "base/status_macros.h"
#include "base/stop_signal.h"

namespace varalign::cli {
namespace {

namespace fs = std::filesystem;

// A reward model of many gigabytes is read before its server listens.
constexpr absl::Duration kStartTimeout = absl::Minutes(10);
constexpr absl::Duration kPollInterval = absl::Milliseconds(10);
constexpr absl::Duration kStopGrace = absl::Seconds(10);
constexpr size_t kLogTailBytes = 2000;

base::ExitCode ExitCodeOf(const base::ProcessExit& exit) {
  if (exit.signal != 0 || exit.code == 0) return base::kExitInternal;
  return static_cast<base::ExitCode>(exit.code);
}

}  // namespace

LocalService::LocalService(LocalServiceOptions options)
    : options_(std::move(options)) {}

LocalService::~LocalService() { Stop(); }

absl::StatusOr<LocalService> LocalService::Start(
    const LocalServiceOptions& options) {
  LocalService service(options);
  RETURN_IF_ERROR(base::CreateDirectories(options.directory));
  RETURN_IF_ERROR(
      service.Spawn("coordinator", "varalign-coordinator",
                    {"--state", (options.directory / "state").string(),
                     "--runs", options.run_root.string(), "--new-pool"}));
  ASSIGN_OR_RETURN(service.coordinator_, service.AwaitAddress("coordinator"));
  return service;
}

absl::Status LocalService::StartPool() {
  if (options_.start_reward_server) RETURN_IF_ERROR(StartRewardServer());
  for (uint32_t i = 0; i < options_.num_workers; ++i) {
    std::vector<std::string> arguments = {"--coordinator", coordinator_};
    if (!reward_server_.empty()) {
      arguments.insert(arguments.end(), {"--reward-server", reward_server_});
    }
    RETURN_IF_ERROR(Spawn(absl::StrCat("worker-", i), "varalign-worker",
                          std::move(arguments)));
  }
  return absl::OkStatus();
}

absl::Status LocalService::StartRewardServer() {
  std::vector<std::string> arguments;
  if (!options_.reward_model.empty()) {
    arguments.insert(arguments.end(),
                     {"--reward", options_.reward_model.string()});
  }
  if (!options_.policy_model.empty()) {
    arguments.insert(arguments.end(),
                     {"--policy", options_.policy_model.string()});
  }
  // A run that is resumed scores nothing again.
  arguments.insert(arguments.end(),
                   {"--store", (options_.directory / "scores.db").string()});
  RETURN_IF_ERROR(
      Spawn("reward-server", "varalign-reward-server", std::move(arguments)));
  ASSIGN_OR_RETURN(reward_server_, AwaitAddress("reward-server"));
  return absl::OkStatus();
}

absl::Status LocalService::Spawn(const std::string& name,
                                 const std::string& binary,
                                 std::vector<std::string> arguments) {
  const fs::path log_file = options_.directory / (name + ".log");
  const fs::path metrics_file = options_.directory / (name + ".metrics");
  base::ProcessOptions process;
  process.argv = {(options_.programs / binary).string()};
  process.argv.insert(process.argv.end(), arguments.begin(), arguments.end());
  process.argv.insert(process.argv.end(),
                      {"--metrics-address-file", metrics_file.string()});
  if (binary != "varalign-worker") {
    const fs::path address_file = options_.directory / (name + ".address");
    std::error_code ignored;
    fs::remove(address_file, ignored);
    process.argv.insert(process.argv.end(),
                        {"--address-file", address_file.string()});
  }
  process.log_file = log_file;
  process.new_session = true;
  ASSIGN_OR_RETURN(base::Subprocess child, base::Subprocess::Spawn(process));
  programs_.push_back({name, log_file, std::move(child)});
  return absl::OkStatus();
}

absl::StatusOr<std::string> LocalService::AwaitAddress(
    const std::string& name) {
  const fs::path file = options_.directory / (name + ".address");
  const absl::Time deadline = absl::Now() + kStartTimeout;
  while (absl::Now() < deadline) {
    if (const auto text = base::ReadFile(file); text.ok()) {
      const fs::path metrics_file = options_.directory / (name + ".metrics");
      if (const auto address = base::ReadFile(metrics_file); address.ok()) {
        metrics_.emplace_back(name, absl::StripSuffix(*address, "\n"));
      }
      return std::string(absl::StripSuffix(*text, "\n"));
    }
    RETURN_IF_ERROR(CheckAlive());
    if (base::StopSignalCount() > 0) {
      return base::InterruptedStatus(
          absl::StrCat("interrupted while the ", name, " started"));
    }
    absl::SleepFor(kPollInterval);
  }
  return absl::UnavailableError(absl::StrCat(
      "the ", name, " did not start in time; its last lines:\n",
      base::TailOfFile(options_.directory / (name + ".log"), kLogTailBytes)));
}

absl::Status LocalService::Explain(Program& program,
                                   const base::ProcessExit& exit) {
  return base::WithExitCode(
      absl::UnavailableError(
          absl::StrCat("the ", program.name, " ", exit.ToString(), ":\n",
                       base::TailOfFile(program.log_file, kLogTailBytes))),
      ExitCodeOf(exit));
}

absl::Status LocalService::CheckAlive() {
  for (Program& program : programs_) {
    if (const auto exit = program.process.Poll()) {
      return Explain(program, *exit);
    }
  }
  return absl::OkStatus();
}

void LocalService::Stop() { StopWithin(kStopGrace); }

void LocalService::Kill() { StopWithin(absl::ZeroDuration()); }

void LocalService::StopWithin(absl::Duration grace) {
  while (!programs_.empty()) {
    programs_.back().process.Stop(grace);
    programs_.pop_back();
  }
}

}  // namespace varalign::cli
