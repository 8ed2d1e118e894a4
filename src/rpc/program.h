// What the programs of the project have in common: the flags of a server, and
// the way from argv to an exit code.
//
//   int main(int argc, char** argv) {
//     CLI::App app("..."); AddServerFlags(app, flags); ...
//     return rpc::RunProgram({"varalign-x", "x", flags.log_level, app},
//                            argc, argv, [&] { return Serve(flags); });
//   }
#ifndef VARALIGN_RPC_PROGRAM_H_
#define VARALIGN_RPC_PROGRAM_H_

#include <string>
#include <string_view>

#include "absl/functional/function_ref.h"
#include "absl/status/status.h"
#include "base/host_port.h"

namespace CLI {
class App;
}

namespace varalign::rpc {

struct ServerFlags {
  std::string listen = "127.0.0.1:0";
  std::string metrics_listen = "127.0.0.1:0";
  std::string address_file;
  std::string metrics_address_file;
  std::string log_level = "info";
  bool insecure = false;

  base::Exposure exposure() const {
    return insecure ? base::Exposure::kInsecureNetwork
                    : base::Exposure::kLoopbackOnly;
  }
};

void AddServerFlags(CLI::App& app, ServerFlags& flags);

// Writes the address files and prints where the service listens.
absl::Status Announce(const ServerFlags& flags, std::string_view address,
                      std::string_view metrics_address);

struct Program {
  const char* name;       // "varalign-reward-server"
  std::string_view role;  // "reward_server", in its log lines
  const std::string& log_level;
  CLI::App& app;
};

// Parses the command line, starts logging, calls `serve`, and prints its error
// as "NAME: error: ...". Returns the exit code of main.
int RunProgram(const Program& program, int argc, char** argv,
               absl::FunctionRef<absl::Status()> serve);

}  // namespace varalign::rpc

#endif  // VARALIGN_RPC_PROGRAM_H_
