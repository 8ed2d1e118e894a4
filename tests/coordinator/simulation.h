// A coordinator, its database and a pool of workers in one thread, with time,
// faults and lost replies drawn from one seed. The workers are fakes of the
// client side: they follow docs/protocol.md and nothing else.
#ifndef VARALIGN_TESTS_COORDINATOR_SIMULATION_H_
#define VARALIGN_TESTS_COORDINATOR_SIMULATION_H_

#include <cstdint>
#include <deque>
#include <filesystem>
#include <map>
#include <memory>
#include <optional>
#include <random>
#include <set>
#include <string>
#include <vector>

#include "coordinator/coordinator_state.h"
#include "coordinator/run_database.h"

namespace varalign::coordinator {

class Simulation {
 public:
  Simulation(const std::filesystem::path& database, uint64_t seed);

  // Submits runs and lets time pass with faults of every kind.
  void RunWithFaults(int num_ticks);
  // No more faults: everything that failed or was cancelled is resumed. True:
  // all runs have succeeded within `max_ticks`.
  bool RunToSuccess(int max_ticks);

  // What was found to be wrong, in words; empty: nothing.
  const std::vector<std::string>& violations() const { return violations_; }

  // Checks what must hold whenever nothing is in flight.
  void CheckDatabase();

  struct Counts {
    int crashes = 0, kills = 0, partitions = 0, generations = 0, steps = 0;
  };
  const Counts& counts() const { return counts_; }

 private:
  // A training process: rank of a generation.
  struct Process {
    v1::RankIdentity identity;
    uint32_t world_size = 0;
    uint32_t pid = 0;
    uint64_t next_step = 0;
    uint64_t lease_begin = 0;
    uint64_t lease_end = 0;
    absl::Duration lease_expires;
    Then then = v1::LeaseStepsResponse::ASK_AGAIN;
    uint64_t saved_step = 0;  // newest checkpoint that it knows of
    bool confirms = false;    // it was granted and has written the manifest
    std::deque<uint64_t> reports;
    std::optional<RankExit> exit;
  };
  struct Supervisor {
    std::string slot_id;
    bool is_registered = false;
    absl::Duration partitioned_until;  // reaches no coordinator until then
    std::optional<Process> process;
  };

  bool Chance(double share) {
    return std::uniform_real_distribution<>(0, 1)(random_) < share;
  }
  size_t Below(size_t bound) {
    return std::uniform_int_distribution<size_t>(0, bound - 1)(random_);
  }
  Now Time() const {
    return {now_, absl::UnixEpoch() + absl::Hours(490000) + now_};
  }
  bool IsReachable(const Supervisor& supervisor) const {
    return now_ >= supervisor.partitioned_until;
  }

  void Tick();
  void Restart();
  // Makes the changes durable, or crashes before or after that.
  absl::Status Commit();
  template <typename Call>
  auto Do(Call call) -> decltype(call());

  void InjectFaults();
  void SubmitOrRepeat();
  void ResumeEnded(double share);
  void Beat(Supervisor& supervisor);
  void Follow(Supervisor& supervisor, const v1::HeartbeatResponse& directive);
  void Act(Process& process);
  void Save(Process& process);
  void Lease(Process& process);
  void Leave(Process& process, int32_t code, int32_t signal);
  void ReportSteps(Process& process);
  void AdvanceGroups();
  std::map<std::string, std::vector<Process*>> Groups();

  const Rules rules_;
  std::mt19937_64 random_;
  const size_t num_runs_;
  std::unique_ptr<RunDatabase> database_;
  std::unique_ptr<CoordinatorState> state_;
  absl::Duration now_ = absl::Seconds(1000);
  double fault_rate_ = 1;
  std::vector<Supervisor> supervisors_;
  uint32_t next_pid_ = 100;

  // What was acknowledged to clients and workers.
  std::map<std::string, std::string> submitted_;  // request -> run
  std::map<std::string, Token> newest_token_;     // by run
  std::map<std::string, uint64_t> reported_;      // steps, by run.gen
  std::map<std::string, uint64_t> saved_;         // newest, by run
  int next_request_ = 1;
  Counts counts_;
  std::vector<std::string> violations_;
};

}  // namespace varalign::coordinator

#endif  // VARALIGN_TESTS_COORDINATOR_SIMULATION_H_
