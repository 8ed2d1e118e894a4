// What the supervisor tells the trainer on its command line. Both sides read
// the same list, so it cannot drift; people never write it.
#ifndef VARALIGN_WORKER_RANK_FLAGS_H_
#define VARALIGN_WORKER_RANK_FLAGS_H_

#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "absl/status/statusor.h"

namespace varalign::worker {

struct RankFlags {
  std::string coordinator;                  // HOST:PORT
  std::vector<std::string> reward_servers;  // HOST:PORT each; may be empty
  std::string run_id;
  uint64_t incarnation = 0;
  uint64_t generation = 0;
  uint32_t rank = 0;
  uint32_t world_size = 1;
  uint32_t ranks_on_host = 1;
  int64_t parent_pid = 0;  // ends with it; 0: started by hand
  std::string metrics = "127.0.0.1:0";
  std::string metrics_address_file;  // empty: none
  std::string log_level = "info";

  friend bool operator==(const RankFlags&, const RankFlags&) = default;
};

// "--name=value" each, without the name of the program.
std::vector<std::string> ToArguments(const RankFlags& flags);

// InvalidArgument (exit code 64) names the argument: unknown, not a number, or
// a required one that is missing.
absl::StatusOr<RankFlags> ParseRankFlags(
    std::span<const char* const> arguments);

}  // namespace varalign::worker

#endif  // VARALIGN_WORKER_RANK_FLAGS_H_
