// What the reward rules of a run say of the rows of a data set.
#ifndef VARALIGN_WORKER_RULED_REWARDS_H_
#define VARALIGN_WORKER_RULED_REWARDS_H_

#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "data/dataset.h"
#include "varalign/v1/run_config.pb.h"

namespace varalign::worker {

struct RuledRewards {
  struct Rule {
    std::string name;  // "column", "pattern", "length", "exact_match"
    double weight = 1;
    double mean = 0;  // of its values, without the weight
  };
  std::vector<Rule> rules;
  std::vector<double> sums;  // [rows], the weighted sum of all rules
};

// Texts are those of the ids of `dataset` under the tokenizer of
// `config.model.path`, without special tokens.
//   InvalidArgument (78)   the data set lacks a column that a rule names, or
//                          the model has no tokenizer and a rule needs texts
absl::StatusOr<RuledRewards> RewardsByRules(const v1::RunConfig& config,
                                            const data::Dataset& dataset);

// The rewards of the rows as they are now; 0 where there is none.
std::vector<double> GivenRewards(const data::Dataset& dataset);

}  // namespace varalign::worker

#endif  // VARALIGN_WORKER_RULED_REWARDS_H_
