// varalign-reward-server: scores rows with a frozen reward model and a frozen
// reference policy, and forms the weights of Z-sets.
#include <semaphore.h>
#include <signal.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <cerrno>
#include <cstdio>
#include <string>
#include <thread>
#include <utility>

#include "CLI/CLI.hpp"
#include "absl/status/status.h"
#include "base/address_file.h"
#include "base/exception_boundary.h"
#include "base/exit_code.h"
#include "base/heap.h"
#include "base/log_level.h"
#include "base/logging.h"
#include "base/status_macros.h"
#include "base/version.h"
#include "reward_server/model_scorer.h"
#include "reward_server/server.h"

namespace varalign::reward_server {
namespace {

// Signals count up to two: the first asks for a drain, the second ends the
// process at once, as does any while there is nothing to drain yet.
std::atomic<bool> may_drain = false;
static_assert(std::atomic<bool>::is_always_lock_free);
sem_t stop;  // the one call that a handler may make to wake a thread

void OnSignal(int signal) {
  if (!may_drain.exchange(false)) _exit(128 + signal);
  sem_post(&stop);
}

void AwaitSignal() {
  may_drain = true;
  while (sem_wait(&stop) != 0 && errno == EINTR) {
  }
}

struct Flags {
  ModelPaths models;
  RewardServerOptions server;
  std::string address_file;
  std::string metrics_address_file;
  int threads = 0;  // 0: one a core
  double drain_seconds = 30;
  std::string store;
  std::string log_level = "info";
  bool insecure = false;
};

void AddServingFlags(CLI::App& app, Flags& flags) {
  app.add_option("--listen", flags.server.listen,
                 "HOST:PORT of the service; port 0: any free port")
      ->capture_default_str();
  app.add_option("--metrics", flags.server.metrics_listen,
                 "HOST:PORT of /metrics and /healthz")
      ->capture_default_str();
  app.add_option("--address-file", flags.address_file,
                 "file that receives the address of the service");
  app.add_option("--metrics-address-file", flags.metrics_address_file,
                 "file that receives the address of the metrics");
  app.add_flag("--insecure", flags.insecure,
               "allow listening off loopback on a network that you trust");
  app.add_option("--log-level", flags.log_level, "what is logged")
      ->capture_default_str()
      ->check(CLI::IsMember(base::LogLevelWords()));
  app.add_option("--drain-seconds", flags.drain_seconds,
                 "how long accepted work may run on after SIGTERM")
      ->capture_default_str()
      ->check(CLI::NonNegativeNumber);
}

void AddScoringFlags(CLI::App& app, Flags& flags) {
  SchedulerOptions& scheduler = flags.server.scheduler;
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
                 "tokens that run at once")
      ->capture_default_str()
      ->check(CLI::PositiveNumber);
  app.add_option("--store-bytes", scheduler.store_bytes,
                 "memory for scores that were computed before")
      ->capture_default_str();
  app.add_option("--store", flags.store,
                 "not in this version: scores are kept in memory");
}

absl::Status CheckFlags(const Flags& flags) {
  if (!flags.store.empty()) {
    return base::WithExitCode(
        absl::UnimplementedError(
            "--store is not in this version: scores are kept in memory, see "
            "--store-bytes"),
        base::kExitUsage);
  }
  if (flags.models.reward.empty() && flags.models.reference.empty()) {
    return base::WithExitCode(
        absl::InvalidArgumentError(
            "nothing to serve: give --reward DIR, --policy DIR or both"),
        base::kExitUsage);
  }
  return absl::OkStatus();
}

absl::Status Announce(const RewardServer& server, const Flags& flags) {
  RETURN_IF_ERROR(base::WriteAddressFile(flags.metrics_address_file,
                                         server.metrics_address()));
  return rpc::AnnounceAddress(server.address(), flags.address_file);
}

absl::Status Serve(Flags flags) {
  RETURN_IF_ERROR(CheckFlags(flags));
  if (flags.threads == 0) {
    flags.threads =
        static_cast<int>(std::max(1u, std::thread::hardware_concurrency()));
  }
  if (flags.insecure) {
    flags.server.exposure = base::Exposure::kInsecureNetwork;
  }
  ASSIGN_OR_RETURN(LoadedModels models, base::CatchExceptions([&flags] {
                     return LoadModels(flags.models, flags.threads);
                   }));
  ASSIGN_OR_RETURN(const auto server,
                   RewardServer::Start(flags.server, models.description,
                                       std::move(models.scorer)));
  RETURN_IF_ERROR(Announce(*server, flags));
  base::LogInfo("serving", {{"address", server->address()},
                            {"metrics", server->metrics_address()},
                            {"fingerprint", server->fingerprint()},
                            {"threads", flags.threads}});
  AwaitSignal();
  base::LogInfo("draining");
  server->Drain(absl::Seconds(flags.drain_seconds));
  base::LogInfo("stopped");
  return absl::OkStatus();
}

int Main(int argc, char** argv) {
  base::KeepFreedMemory();
  sem_init(&stop, 0, 0);
  struct sigaction action = {};
  action.sa_handler = OnSignal;
  sigaction(SIGTERM, &action, nullptr);
  sigaction(SIGINT, &action, nullptr);

  Flags flags;
  CLI::App app(
      "Scores rows with a reward model and a reference policy, for workers and "
      "clients.\n\n"
      "  varalign-reward-server --reward REWARD --policy MODEL\n"
      "  varalign-reward-server --reward REWARD --listen 127.0.0.1:7800");
  app.set_version_flag("--version", base::kVersion);
  AddScoringFlags(app, flags);
  AddServingFlags(app, flags);
  try {
    app.parse(argc, argv);
  } catch (const CLI::ParseError& error) {
    return app.exit(error) == 0 ? base::kExitOk : base::kExitUsage;
  }
  base::InitLogging("reward_server", base::ParseLogLevel(flags.log_level));
  const absl::Status status = Serve(std::move(flags));
  if (!status.ok()) {
    std::fprintf(stderr, "varalign-reward-server: error: %s\n",
                 std::string(status.message()).c_str());
  }
  return base::ExitCodeFor(status);
}

}  // namespace
}  // namespace varalign::reward_server

int main(int argc, char** argv) {
  return varalign::reward_server::Main(argc, argv);
}
