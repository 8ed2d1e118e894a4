// varalign-worker: one worker slot of the pool. Rank and size of a launcher
// (mpirun, srun) come from its environment; the launcher only starts slots, the
// coordinator decides which of them make a group.
#include <stdlib.h>
#include <unistd.h>

#include <cerrno>
#include <filesystem>
#include <random>
#include <string>
#include <vector>

#include "CLI/CLI.hpp"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "base/address_file.h"
#include "base/clock.h"
#include "base/exit_code.h"
#include "base/file.h"
#include "base/host_port.h"
#include "base/log_level.h"
#include "base/status_macros.h"
#include "base/stop_signal.h"
#include "base/subprocess.h"
#include "base/version.h"
#include "rpc/program.h"
#include "telemetry/http_endpoint.h"
#include "worker/metrics.h"
#include "worker/slot_link.h"
#include "worker/supervisor.h"

namespace varalign::worker {
namespace {

namespace fs = std::filesystem;

struct Flags {
  std::string coordinator;
  std::vector<std::string> reward_servers;
  std::string metrics = "127.0.0.1:0";
  std::string metrics_address_file;
  std::string trainer_metrics = "127.0.0.1:0";
  std::string trainer_metrics_address_file;
  std::string log_directory;
  std::string log_level = "info";
  bool insecure = false;
};

void AddFlags(CLI::App& app, Flags& flags) {
  app.add_option("--coordinator", flags.coordinator, "HOST:PORT")->required();
  app.add_option("--reward-server", flags.reward_servers,
                 "HOST:PORT, several by commas")
      ->delimiter(',');
  app.add_option("--metrics", flags.metrics,
                 "HOST:PORT of /metrics and /healthz (default: any free port "
                 "on loopback)");
  app.add_option("--metrics-address-file", flags.metrics_address_file,
                 "file that receives the metrics address");
  app.add_option("--trainer-metrics", flags.trainer_metrics,
                 "the same for the training process");
  app.add_option("--trainer-metrics-address-file",
                 flags.trainer_metrics_address_file,
                 "file that receives the training process's metrics address");
  app.add_option("--log-dir", flags.log_directory,
                 "where the output of training processes is kept (default: a "
                 "temporary directory, removed at the end)");
  app.add_option("--log-level", flags.log_level, "what is logged")
      ->capture_default_str()
      ->check(CLI::IsMember(base::LogLevelWords()));
  app.add_flag("--insecure", flags.insecure,
               "allow --metrics off loopback on a network that you trust");
}

int ReadEnvironment(const char* name, int otherwise) {
  const char* text = getenv(name);
  int value = 0;
  return text != nullptr && absl::SimpleAtoi(text, &value) ? value : otherwise;
}

v1::RegisterRequest DescribeSlot(const std::string& metrics_address) {
  char host[256] = "localhost";
  gethostname(host, sizeof(host) - 1);
  v1::RegisterRequest slot;
  slot.set_slot_id(
      absl::StrFormat("%s-%d-%08x", host, getpid(), std::random_device()()));
  slot.set_host(host);
  slot.set_pid(static_cast<uint32_t>(getpid()));
  slot.set_version(base::kVersion);
  slot.set_protocol(base::kProtocol);
  slot.set_launcher_rank(ReadEnvironment("OMPI_COMM_WORLD_RANK",
                                         ReadEnvironment("SLURM_PROCID", -1)));
  slot.set_launcher_size(ReadEnvironment("OMPI_COMM_WORLD_SIZE",
                                         ReadEnvironment("SLURM_NTASKS", 0)));
  slot.set_metrics_address(metrics_address);
  return slot;
}

absl::StatusOr<fs::path> MakeLogDirectory(const std::string& wanted) {
  if (!wanted.empty()) {
    RETURN_IF_ERROR(base::CreateDirectories(wanted));
    return fs::path(wanted);
  }
  std::string pattern =
      (fs::temp_directory_path() / "varalign-worker-XXXXXX").string();
  if (mkdtemp(pattern.data()) == nullptr) {
    return base::ErrnoStatus(errno, "create a directory", pattern);
  }
  return fs::path(pattern);
}

absl::Status CheckAddresses(const Flags& flags) {
  for (const std::string& server : flags.reward_servers) {
    const absl::Status status = base::ParseHostPort(server).status();
    if (!status.ok()) {
      return base::WithExitCode(absl::InvalidArgumentError(absl::StrCat(
                                    "--reward-server: ", status.message())),
                                base::kExitUsage);
    }
  }
  return absl::OkStatus();
}

absl::Status Serve(const Flags& flags) {
  RETURN_IF_ERROR(CheckAddresses(flags));
  const base::SystemClock clock;
  telemetry::Registry registry("worker");
  SupervisorMetrics metrics(registry);
  ASSIGN_OR_RETURN(
      const auto endpoint,
      telemetry::HttpEndpoint::Start(
          {.listen = flags.metrics,
           .exposure = flags.insecure ? base::Exposure::kInsecureNetwork
                                      : base::Exposure::kLoopbackOnly},
          registry, [] { return absl::OkStatus(); }));
  RETURN_IF_ERROR(
      base::WriteAddressFile(flags.metrics_address_file, endpoint->address()));
  ASSIGN_OR_RETURN(const fs::path logs, MakeLogDirectory(flags.log_directory));
  ASSIGN_OR_RETURN(const auto link,
                   SlotLink::Start({.target = flags.coordinator,
                                    .slot = DescribeSlot(endpoint->address())},
                                   clock));
  Supervisor supervisor(
      {.coordinator = flags.coordinator,
       .reward_servers = flags.reward_servers,
       .trainer = base::ExecutableDirectory() / "../libexec/varalign" /
                  "varalign-trainer",
       .log_directory = logs,
       .trainer_metrics = flags.trainer_metrics,
       .trainer_metrics_address_file = flags.trainer_metrics_address_file,
       .log_level = flags.log_level},
      *link, clock, metrics);
  const absl::Status status =
      supervisor.Run([] { return base::StopSignalCount() > 0; });
  if (flags.log_directory.empty()) {
    std::error_code ignored;
    fs::remove_all(logs, ignored);
  }
  return status;
}

int Main(int argc, char** argv) {
  // The second one ends the process at once.
  base::CatchStopSignals(1);
  Flags flags;
  CLI::App app(
      "A worker slot: waits for runs and trains them.\n\n"
      "  varalign-worker --coordinator 127.0.0.1:7700\n"
      "  mpirun -np 4 --bind-to none varalign-worker --coordinator head:7700 "
      "\\\n"
      "      --reward-server head:7800");
  AddFlags(app, flags);
  const int code =
      rpc::RunProgram({"varalign-worker", "worker", flags.log_level, app}, argc,
                      argv, [&flags] { return Serve(flags); });
  const int signal = base::FirstStopSignal();
  return code == 0 && signal != 0 ? 128 + signal : code;
}

}  // namespace
}  // namespace varalign::worker

int main(int argc, char** argv) { return varalign::worker::Main(argc, argv); }
