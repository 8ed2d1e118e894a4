// One worker slot: registers with the coordinator, starts and stops the
// trainer, reports its end. Links no torch and must not crash.
#ifndef VARALIGN_WORKER_SUPERVISOR_H_
#define VARALIGN_WORKER_SUPERVISOR_H_

#include <filesystem>
#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/time/time.h"
#include "base/clock.h"
#include "base/subprocess.h"
#include "varalign/v1/coordinator.pb.h"
#include "worker/metrics.h"
#include "worker/slot_link.h"

namespace varalign::worker {

struct SupervisorOptions {
  std::string coordinator;  // HOST:PORT
  std::vector<std::string> reward_servers;
  std::filesystem::path trainer;        // the program
  std::filesystem::path log_directory;  // of the trainers' output
  std::string trainer_metrics = "127.0.0.1:0";
  std::string trainer_metrics_address_file;
  std::string log_level = "info";
  // From SIGTERM to SIGKILL.
  absl::Duration stop_grace = absl::Seconds(10);
};

// Not thread safe; Run stays in the thread that calls it, which must be the
// main thread (the trainer dies with the thread that spawned it).
//
//   idle --StartRank--> running --exit--> exited --AcknowledgeExit--> idle
//
// The end of a trainer is told in every heartbeat until it is acknowledged. A
// trainer is never stopped because the coordinator is away.
class Supervisor {
 public:
  // All outlive the supervisor.
  Supervisor(SupervisorOptions options, SlotLink& link,
             const base::Clock& clock, SupervisorMetrics& metrics);

  // Serves runs until `stop_requested` returns true or the link is lost for
  // good; then stops the trainer and says so. Ok after a requested stop.
  absl::Status Run(const std::function<bool()>& stop_requested);

 private:
  struct Trainer {
    base::Subprocess process;
    std::optional<absl::Duration> kill_at;  // monotonic, after SIGTERM
  };

  void Handle(const v1::HeartbeatResponse& directive);
  void Start(const v1::StartRank& start);
  void Stop(const v1::StopRank& stop);
  // Notices the end of the trainer, and kills one that does not stop.
  void Watch();
  void Ended(const base::ProcessExit& exit);
  void Leave();
  void SetStatus(std::optional<v1::ProcessStatus> status);

  const SupervisorOptions options_;
  SlotLink& link_;
  const base::Clock& clock_;
  SupervisorMetrics& metrics_;

  std::optional<Trainer> trainer_;
  std::optional<v1::ProcessStatus> status_;  // running, or exited and not
                                             // acknowledged
  std::filesystem::path log_file_;
};

}  // namespace varalign::worker

#endif  // VARALIGN_WORKER_SUPERVISOR_H_
