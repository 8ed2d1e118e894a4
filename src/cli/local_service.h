// The processes that `varalign train` runs on loopback: a coordinator, a reward
// server where the run needs one, and workers. Ports are chosen by the system.
#ifndef VARALIGN_CLI_LOCAL_SERVICE_H_
#define VARALIGN_CLI_LOCAL_SERVICE_H_

#include <cstdint>
#include <filesystem>
#include <string>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "base/subprocess.h"

namespace varalign::cli {

struct LocalServiceOptions {
  std::filesystem::path programs;   // where the binaries are
  std::filesystem::path directory;  // state, logs and address files
  std::filesystem::path run_root;
  // What the reward server loads; empty: not that model.
  std::filesystem::path reward_model;
  std::filesystem::path policy_model;
  bool start_reward_server = false;
  uint32_t num_workers = 2;
};

// Not thread safe; made and used by the main thread, since a child dies with
// the thread that spawned it. The destructor stops all processes.
class LocalService {
 public:
  // Starts the coordinator and waits until it listens. No process of an earlier
  // service in the same directory may be alive. An error ends with the last
  // lines that the process wrote; Cancelled: a stop signal came.
  static absl::StatusOr<LocalService> Start(const LocalServiceOptions& options);
  // Starts the reward server, likewise, and the workers.
  absl::Status StartPool();
  LocalService(LocalService&&) = default;
  ~LocalService();

  const std::string& coordinator_address() const { return coordinator_; }

  // Addresses of the metrics endpoints, by program, for people.
  const std::vector<std::pair<std::string, std::string>>& metrics() const {
    return metrics_;
  }

  // Unavailable with the exit and the last lines of a process that has ended
  // although nobody asked it to; OK while all run.
  absl::Status CheckAlive();

  // Workers first, then the servers.
  void Stop();
  // The same without time to say goodbye.
  void Kill();

 private:
  struct Program {
    std::string name;  // "worker-0"
    std::filesystem::path log_file;
    base::Subprocess process;
  };

  explicit LocalService(LocalServiceOptions options);
  absl::Status Spawn(const std::string& name, const std::string& binary,
                     std::vector<std::string> arguments);
  // Waits for the file that a server writes when it listens.
  absl::StatusOr<std::string> AwaitAddress(const std::string& name);
  absl::Status StartRewardServer();
  absl::Status Explain(Program& program, const base::ProcessExit& exit);
  void StopWithin(absl::Duration grace);

  LocalServiceOptions options_;
  std::string coordinator_;
  std::string reward_server_;
  std::vector<std::pair<std::string, std::string>> metrics_;
  std::vector<Program> programs_;
};

}  // namespace varalign::cli

#endif  // VARALIGN_CLI_LOCAL_SERVICE_H_
