// varalign-trainer: one rank of one generation. Started by varalign-worker,
// ends with it.
#include <cstdio>
#include <span>
#include <string>

#include "base/address_file.h"
#include "base/clock.h"
#include "base/exception_boundary.h"
#include "base/exit_code.h"
#include "base/heap.h"
#include "base/log_level.h"
#include "base/logging.h"
#include "base/status_macros.h"
#include "base/subprocess.h"
#include "telemetry/http_endpoint.h"
#include "worker/metrics.h"
#include "worker/rank_flags.h"
#include "worker/rank_run.h"

namespace varalign::worker {
namespace {

absl::Status Serve(const RankFlags& flags) {
  const base::SystemClock clock;
  telemetry::Registry registry("trainer");
  TrainerMetrics metrics(registry);
  ASSIGN_OR_RETURN(const auto endpoint, telemetry::HttpEndpoint::Start(
                                            {.listen = flags.metrics}, registry,
                                            [] { return absl::OkStatus(); }));
  RETURN_IF_ERROR(
      base::WriteAddressFile(flags.metrics_address_file, endpoint->address()));
  return base::CatchExceptions([&] { return RunRank(flags, metrics, clock); });
}

int Main(std::span<const char* const> arguments) {
  const auto flags = ParseRankFlags(arguments);
  absl::Status status = flags.status();
  if (flags.ok()) {
    if (flags->parent_pid > 0) {
      base::DieWithParent(static_cast<pid_t>(flags->parent_pid));
    }
    base::KeepFreedMemory();
    base::InitLogging("trainer", base::ParseLogLevel(flags->log_level),
                      {{"run", flags->run_id},
                       {"rank", flags->rank},
                       {"generation", flags->generation}});
    status = Serve(*flags);
  }
  if (status.ok()) return base::kExitOk;
  std::fprintf(stderr, "varalign-trainer: error: %s\n",
               std::string(status.message()).c_str());
  return base::ExitCodeFor(status);
}

}  // namespace
}  // namespace varalign::worker

int main(int argc, char** argv) {
  return varalign::worker::Main(
      {argv + 1, static_cast<size_t>(argc > 0 ? argc - 1 : 0)});
}
