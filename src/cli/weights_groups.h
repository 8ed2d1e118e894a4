// Scored groups and their weights, without the command line.
#ifndef VARALIGN_CLI_WEIGHTS_GROUPS_H_
#define VARALIGN_CLI_WEIGHTS_GROUPS_H_

#include <cstdint>
#include <filesystem>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "varalign/v1/run_config.pb.h"

namespace varalign::cli {

// The scores of one prompt's responses; a list is empty or has all of them.
struct ScoredGroup {
  uint64_t line = 0;
  size_t num_responses = 0;
  std::vector<double> rewards;
  std::vector<double> logprob_sums;
  std::vector<uint32_t> num_tokens;
};

// One line a group: {"rewards", "logprob_sums", "num_tokens"}, other columns
// are passed over; "responses" only counts. InvalidArgument with "FILE:LINE: ".
absl::StatusOr<std::vector<ScoredGroup>> ReadScoredGroups(
    const std::filesystem::path& path);

// InvalidArgument with "FILE:LINE: " and the remedy, where `rule`, resolved,
// needs a score that a group of `path` lacks.
absl::Status CheckScores(const std::filesystem::path& path,
                         const std::vector<ScoredGroup>& groups,
                         const v1::Objective& rule);

struct GroupWeights {
  std::vector<double> weights;  // exp(log w), in the order of the responses
  double log_z = 0;             // of the Z-set that the group is in
  double ess = 0;
};

// `rule` resolved. Lambda in units of the reward's sd is made raw by the pooled
// sd of all groups; Z-blocks are cut in the order of the file, a block of 0
// being one group where all have two responses or more, else the whole file.
//
// REQUIRES: CheckScores. InvalidArgument: the rewards have no spread.
absl::StatusOr<std::vector<GroupWeights>> WeighGroups(
    const std::vector<ScoredGroup>& groups, const v1::Objective& rule);

}  // namespace varalign::cli

#endif  // VARALIGN_CLI_WEIGHTS_GROUPS_H_
