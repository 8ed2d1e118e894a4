// varalign-trainer: one rank of one generation. Started by varalign-worker,
// ends with it.
#include <malloc.h>

#include <cstdio>
#include <span>
#include <string>

#include "absl/strings/str_cat.h"
#include "base/clock.h"
#include "base/exception_boundary.h"
#include "base/exit_code.h"
#include "base/file.h"
#include "base/logging.h"
#include "base/status_macros.h"
#include "base/subprocess.h"
#include "telemetry/http_endpoint.h"
#include "worker/log_level.h"
#include "worker/metrics.h"
#include "worker/rank_flags.h"
#include "worker/rank_run.h"

namespace varalign::worker {
namespace {

// glibc gives large blocks back to the system at once and asks for them again
// in the next operation; a tenth of a step goes into page faults.
void KeepFreedMemory() {
  constexpr int kBytes = 1 << 30;
  mallopt(M_MMAP_THRESHOLD, kBytes);
  mallopt(M_TRIM_THRESHOLD, kBytes);
}

absl::Status Serve(const RankFlags& flags) {
  const base::SystemClock clock;
  telemetry::Registry registry("trainer");
  TrainerMetrics metrics(registry);
  ASSIGN_OR_RETURN(const auto endpoint, telemetry::HttpEndpoint::Start(
                                            {.listen = flags.metrics}, registry,
                                            [] { return absl::OkStatus(); }));
  if (!flags.metrics_address_file.empty()) {
    RETURN_IF_ERROR(base::WriteFileAtomically(
        flags.metrics_address_file, absl::StrCat(endpoint->address(), "\n")));
  }
  return base::CatchExceptions([&] { return RunRank(flags, metrics, clock); });
}

int Main(std::span<const char* const> arguments) {
  const auto flags = ParseRankFlags(arguments);
  absl::Status status = flags.status();
  if (flags.ok()) {
    if (flags->parent_pid > 0) {
      base::DieWithParent(static_cast<pid_t>(flags->parent_pid));
    }
    KeepFreedMemory();
    base::InitLogging("trainer", ParseLogLevel(flags->log_level),
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
