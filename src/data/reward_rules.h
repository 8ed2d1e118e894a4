// Rewards that need no model: a column, a regular expression, a price for
// length, an exact match (`reward` of a run's configuration).
#ifndef VARALIGN_DATA_REWARD_RULES_H_
#define VARALIGN_DATA_REWARD_RULES_H_

#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "absl/status/statusor.h"
#include "varalign/v1/run_config.pb.h"

namespace re2 {
class RE2;
}  // namespace re2

namespace varalign::data {

// What the rules look at. White space around `text` and `reference` does not
// count.
struct RuledResponse {
  std::string_view text = {};       // without special tokens
  uint64_t num_tokens = 0;          // with the end token
  double column = 0;                // the value of column()
  std::string_view reference = {};  // the value of reference_column()
};

// Immutable; any thread.
class RewardRules {
 public:
  struct Rule {
    std::string name;  // its key in `reward`: column, pattern, ...
    double weight = 1;
  };

  // `config` is resolved. InvalidArgument: the regular expression is none, or a
  // weight is not finite; names the key.
  static absl::StatusOr<RewardRules> Create(const v1::RewardConfig& config);

  const std::vector<Rule>& rules() const { return rules_; }
  bool empty() const { return rules_.empty(); }
  // Empty where no rule asks for one.
  const std::string& column() const { return config_.column().name(); }
  const std::string& reference_column() const {
    return config_.exact_match().column();
  }
  bool needs_text() const {
    return pattern_ != nullptr || !reference_column().empty();
  }

  // Without their weights, in the order of rules().
  std::vector<double> Values(const RuledResponse& response) const;
  // REQUIRES: `values` are of Values().
  double WeightedSum(std::span<const double> values) const;

 private:
  explicit RewardRules(v1::RewardConfig config) : config_(std::move(config)) {}

  v1::RewardConfig config_;
  std::vector<Rule> rules_;
  std::shared_ptr<const re2::RE2> pattern_;
};

}  // namespace varalign::data

#endif  // VARALIGN_DATA_REWARD_RULES_H_
