#include "rpc/program.h"

#include <cstdio>

#include "CLI/CLI.hpp"
#include "base/address_file.h"
#include "base/exit_code.h"
#include "base/log_level.h"
#include "base/logging.h"
#include "base/status_macros.h"
#include "base/version.h"
#include "rpc/grpc_server.h"

namespace varalign::rpc {

void AddServerFlags(CLI::App& app, ServerFlags& flags) {
  app.add_option("--listen", flags.listen,
                 "HOST:PORT of the service; port 0: any free port")
      ->capture_default_str();
  app.add_option("--metrics", flags.metrics_listen,
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

absl::Status Announce(const ServerFlags& flags, std::string_view address,
                      std::string_view metrics_address) {
  RETURN_IF_ERROR(
      base::WriteAddressFile(flags.metrics_address_file, metrics_address));
  return AnnounceAddress(address, flags.address_file);
}

int RunProgram(const Program& program, int argc, char** argv,
               absl::FunctionRef<absl::Status()> serve) {
  program.app.set_version_flag("--version", base::kVersion);
  try {
    program.app.parse(argc, argv);
  } catch (const CLI::ParseError& error) {
    return program.app.exit(error) == 0 ? base::kExitOk : base::kExitUsage;
  }
  base::InitLogging(program.role, base::ParseLogLevel(program.log_level));
  const absl::Status status = serve();
  if (!status.ok()) {
    std::fprintf(stderr, "%s: error: %s\n", program.name,
                 std::string(status.message()).c_str());
  }
  return base::ExitCodeFor(status);
}

}  // namespace varalign::rpc
