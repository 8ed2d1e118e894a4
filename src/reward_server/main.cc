// varalign-reward-server: scores rows with a frozen reward model and a frozen
// reference policy, and forms the weights of Z-sets.
#include <algorithm>
#include <memory>
#include <string>
#include <thread>
#include <utility>

#include "CLI/CLI.hpp"
#include "absl/status/status.h"
#include "base/clock.h"
#include "base/exception_boundary.h"
#include "base/exit_code.h"
#include "base/heap.h"
#include "base/logging.h"
#include "base/status_macros.h"
#include "base/stop_signal.h"
#include "reward_server/model_scorer.h"
#include "reward_server/score_file.h"
#include "reward_server/server.h"
#include "rpc/program.h"

namespace varalign::reward_server {
namespace {

struct Flags {
  ModelPaths models;
  rpc::ServerFlags server;
  SchedulerOptions scheduler;
  ScoreFile::Options score_file;
  int threads = 0;  // 0: one a core
  double drain_seconds = 30;
};

void AddScoringFlags(CLI::App& app, Flags& flags) {
  SchedulerOptions& scheduler = flags.scheduler;
  app.add_option("--reward", flags.models.reward,
                 "Hugging Face directory of the reward model");
  app.add_option("--policy", flags.models.reference,
                 "Hugging Face directory of the reference policy");
  app.add_option("--threads", flags.threads,
                 "threads of the models; 0: one a core")
      ->check(CLI::Range(0, 1024));
  app.add_option("--max-inflight-tokens", scheduler.max_inflight_tokens,
                 "tokens admitted and not yet scored; more are refused")
      ->capture_default_str()
      ->check(CLI::PositiveNumber);
  app.add_option("--max-batch-tokens", scheduler.max_batch_tokens,
                 "tokens that run at once; prompts count once")
      ->capture_default_str()
      ->check(CLI::PositiveNumber);
  app.add_option("--store-bytes", scheduler.store_bytes,
                 "memory for scores that were computed before")
      ->capture_default_str();
  app.add_option("--store", flags.score_file.path,
                 "file that keeps scores beyond this process, on a local disk; "
                 "servers of one host may share it");
  app.add_option("--store-file-bytes", flags.score_file.max_bytes,
                 "size of that file; the scores asked for longest ago leave "
                 "beyond it")
      ->capture_default_str()
      ->check(CLI::PositiveNumber);
  app.add_option("--drain-seconds", flags.drain_seconds,
                 "how long accepted work may run on after SIGTERM")
      ->capture_default_str()
      ->check(CLI::NonNegativeNumber);
}

absl::Status CheckFlags(const Flags& flags) {
  if (flags.models.reward.empty() && flags.models.reference.empty()) {
    return base::WithExitCode(
        absl::InvalidArgumentError(
            "nothing to serve: give --reward DIR, --policy DIR or both"),
        base::kExitUsage);
  }
  return absl::OkStatus();
}

absl::Status Serve(Flags flags) {
  RETURN_IF_ERROR(CheckFlags(flags));
  const base::SystemClock clock;
  std::unique_ptr<ScoreFile> score_file;
  if (!flags.score_file.path.empty()) {
    ASSIGN_OR_RETURN(score_file, ScoreFile::Open(flags.score_file, clock));
  }
  if (flags.threads == 0) {
    flags.threads =
        static_cast<int>(std::max(1u, std::thread::hardware_concurrency()));
  }
  ASSIGN_OR_RETURN(LoadedModels models, base::CatchExceptions([&flags] {
                     return LoadModels(flags.models, flags.threads);
                   }));
  ASSIGN_OR_RETURN(
      const auto server,
      RewardServer::Start({.listen = flags.server.listen,
                           .metrics_listen = flags.server.metrics_listen,
                           .exposure = flags.server.exposure(),
                           .scheduler = flags.scheduler,
                           .score_file = score_file.get()},
                          models.description, std::move(models.scorer)));
  // The next signal asks for a drain, the one after it ends the process.
  base::CatchStopSignals(1);
  RETURN_IF_ERROR(rpc::Announce(flags.server, server->address(),
                                server->metrics_address()));
  base::LogInfo("serving", {{"address", server->address()},
                            {"metrics", server->metrics_address()},
                            {"fingerprint", server->fingerprint()},
                            {"threads", flags.threads}});
  base::AwaitStopSignal(absl::InfiniteDuration());
  base::LogInfo("draining");
  server->Drain(absl::Seconds(flags.drain_seconds));
  base::LogInfo("stopped");
  return absl::OkStatus();
}

int Main(int argc, char** argv) {
  base::KeepFreedMemory();
  base::CatchStopSignals(0);  // nothing to drain yet
  Flags flags;
  CLI::App app(
      "Scores rows with a reward model and a reference policy, for workers and "
      "clients.\n\n"
      "  varalign-reward-server --reward REWARD --policy MODEL\n"
      "  varalign-reward-server --reward REWARD --listen 127.0.0.1:7800");
  AddScoringFlags(app, flags);
  rpc::AddServerFlags(app, flags.server);
  return rpc::RunProgram(
      {"varalign-reward-server", "reward_server", flags.server.log_level, app},
      argc, argv, [&flags] { return Serve(std::move(flags)); });
}

}  // namespace
}  // namespace varalign::reward_server

int main(int argc, char** argv) {
  return varalign::reward_server::Main(argc, argv);
}
