// varalign-coordinator: takes runs from clients and leads a pool of workers
// through them. Its state survives any end of the process.
#include <malloc.h>
#include <semaphore.h>
#include <signal.h>
#include <time.h>
#include <unistd.h>

#include <cerrno>
#include <cstdio>
#include <string>

#include "CLI/CLI.hpp"
#include "absl/status/status.h"
#include "base/address_file.h"
#include "base/clock.h"
#include "base/exit_code.h"
#include "base/log_level.h"
#include "base/logging.h"
#include "base/status_macros.h"
#include "base/version.h"
#include "coordinator/coordinator.h"
#include "rpc/grpc_server.h"

namespace varalign::coordinator {
namespace {

sem_t stop;  // the one call that a handler may make to wake a thread
volatile sig_atomic_t is_stopping = 0;

// The second signal ends the process at once: nothing is lost by that.
void OnSignal(int signal) {
  if (is_stopping) _exit(128 + signal);
  is_stopping = 1;
  sem_post(&stop);
}

struct Flags {
  CoordinatorOptions options;
  std::string state;
  std::string runs;
  std::string address_file;
  std::string metrics_address_file;
  std::string log_level = "info";
  bool insecure = false;
};

void AddFlags(CLI::App& app, Flags& flags) {
  app.add_option("--state", flags.state,
                 "directory of the coordinator's database; made if missing")
      ->required();
  app.add_option("--runs", flags.runs,
                 "directory below which runs have theirs [STATE/runs]");
  app.add_option("--listen", flags.options.listen,
                 "HOST:PORT of the service; port 0: any free port")
      ->capture_default_str();
  app.add_option("--metrics", flags.options.metrics_listen,
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
}

absl::Status Announce(const Coordinator& coordinator, const Flags& flags) {
  RETURN_IF_ERROR(base::WriteAddressFile(flags.metrics_address_file,
                                         coordinator.metrics_address()));
  return rpc::AnnounceAddress(coordinator.address(), flags.address_file);
}

// Returns at a signal, or once the database has failed.
absl::Status AwaitEnd(const Coordinator& coordinator) {
  while (true) {
    timespec deadline = {};
    clock_gettime(CLOCK_REALTIME, &deadline);
    deadline.tv_sec += 1;
    if (sem_timedwait(&stop, &deadline) == 0) return absl::OkStatus();
    if (errno != ETIMEDOUT && errno != EINTR) {
      return absl::InternalError("cannot wait for signals");
    }
    if (absl::Status status = coordinator.health(); !status.ok()) {
      return base::WithExitCode(std::move(status), base::kExitIo);
    }
  }
}

absl::Status Serve(Flags flags) {
  flags.options.state_directory = flags.state;
  flags.options.run_root = flags.runs;
  if (flags.insecure) {
    flags.options.exposure = base::Exposure::kInsecureNetwork;
  }
  const base::SystemClock clock;
  ASSIGN_OR_RETURN(const auto coordinator,
                   Coordinator::Start(flags.options, clock));
  RETURN_IF_ERROR(Announce(*coordinator, flags));
  base::LogInfo("serving", {{"address", coordinator->address()},
                            {"metrics", coordinator->metrics_address()},
                            {"state", flags.state}});
  RETURN_IF_ERROR(AwaitEnd(*coordinator));
  base::LogInfo("stopping");
  return absl::OkStatus();
}

int Main(int argc, char** argv) {
  // Many threads wait and few work: two heaps are enough, and small.
  mallopt(M_ARENA_MAX, 2);
  sem_init(&stop, 0, 0);
  struct sigaction action = {};
  action.sa_handler = OnSignal;
  sigaction(SIGTERM, &action, nullptr);
  sigaction(SIGINT, &action, nullptr);

  Flags flags;
  CLI::App app(
      "Takes runs from clients and leads a pool of workers through them.\n\n"
      "  varalign-coordinator --state /var/lib/varalign\n"
      "  varalign-coordinator --state STATE --runs RUNS --listen "
      "127.0.0.1:7700");
  app.set_version_flag("--version", base::kVersion);
  AddFlags(app, flags);
  try {
    app.parse(argc, argv);
  } catch (const CLI::ParseError& error) {
    return app.exit(error) == 0 ? base::kExitOk : base::kExitUsage;
  }
  base::InitLogging("coordinator", base::ParseLogLevel(flags.log_level));
  const absl::Status status = Serve(std::move(flags));
  if (!status.ok()) {
    std::fprintf(stderr, "varalign-coordinator: error: %s\n",
                 std::string(status.message()).c_str());
  }
  return base::ExitCodeFor(status);
}

}  // namespace
}  // namespace varalign::coordinator

int main(int argc, char** argv) {
  return varalign::coordinator::Main(argc, argv);
}
