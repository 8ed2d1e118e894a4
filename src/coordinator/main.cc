// varalign-coordinator: takes runs from clients and leads a pool of workers
// through them. Its state survives any end of the process.
#include <malloc.h>

#include <string>

#include "CLI/CLI.hpp"
#include "absl/status/status.h"
#include "base/clock.h"
#include "base/exit_code.h"
#include "base/logging.h"
#include "base/status_macros.h"
#include "base/stop_signal.h"
#include "coordinator/coordinator.h"
#include "rpc/program.h"

namespace varalign::coordinator {
namespace {

constexpr absl::Duration kHealthInterval = absl::Seconds(1);

struct Flags {
  rpc::ServerFlags server;
  std::string state;
  std::string runs;
  bool new_pool = false;
};

void AddFlags(CLI::App& app, Flags& flags) {
  app.add_option("--state", flags.state,
                 "directory of the coordinator's database; made if missing")
      ->required();
  app.add_option("--runs", flags.runs,
                 "directory below which runs have theirs [STATE/runs]");
  app.add_flag("--new-pool", flags.new_pool,
               "no worker of before this start is alive: runs that they "
               "trained have failed and can be resumed at once");
  rpc::AddServerFlags(app, flags.server);
}

// Returns at a signal, or once the database has failed.
absl::Status AwaitEnd(const Coordinator& coordinator) {
  while (!base::AwaitStopSignal(kHealthInterval)) {
    if (absl::Status status = coordinator.health(); !status.ok()) {
      return base::WithExitCode(std::move(status), base::kExitIo);
    }
  }
  return absl::OkStatus();
}

Rules RulesOf(const Flags& flags) {
  Rules rules;
  rules.pool = flags.new_pool ? Pool::kIsNew : Pool::kOutlives;
  return rules;
}

absl::Status Serve(const Flags& flags) {
  const base::SystemClock clock;
  ASSIGN_OR_RETURN(
      const auto coordinator,
      Coordinator::Start({.listen = flags.server.listen,
                          .metrics_listen = flags.server.metrics_listen,
                          .exposure = flags.server.exposure(),
                          .state_directory = flags.state,
                          .run_root = flags.runs,
                          .rules = RulesOf(flags)},
                         clock));
  RETURN_IF_ERROR(rpc::Announce(flags.server, coordinator->address(),
                                coordinator->metrics_address()));
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
  // The second one ends the process at once: nothing is lost by that.
  base::CatchStopSignals(1);
  Flags flags;
  CLI::App app(
      "Takes runs from clients and leads a pool of workers through them.\n\n"
      "  varalign-coordinator --state /var/lib/varalign\n"
      "  varalign-coordinator --state STATE --runs RUNS --listen "
      "127.0.0.1:7700");
  AddFlags(app, flags);
  return rpc::RunProgram(
      {"varalign-coordinator", "coordinator", flags.server.log_level, app},
      argc, argv, [&flags] { return Serve(flags); });
}

}  // namespace
}  // namespace varalign::coordinator

int main(int argc, char** argv) {
  return varalign::coordinator::Main(argc, argv);
}
