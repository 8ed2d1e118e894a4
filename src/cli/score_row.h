// What `score` asks about a row, and who can answer.
#ifndef VARALIGN_CLI_SCORE_ROW_H_
#define VARALIGN_CLI_SCORE_ROW_H_

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "data/parsed_example.h"

namespace varalign::cli {

// The ids of a text as the policy reads it, and as the reward model does.
struct TextIds {
  std::vector<uint32_t> ids;
  std::vector<uint32_t> reward_ids;  // empty: as `ids`

  const std::vector<uint32_t>& for_reward() const {
    return reward_ids.empty() ? ids : reward_ids;
  }
};

// A row of the input on its way to the models.
struct ScoreExample {
  uint64_t example = 0;  // its row in the input, from 0
  TextIds prompt;
  std::vector<TextIds> responses;
  // Where the row was text; none where it was ids.
  std::optional<data::ParsedExample> text;
};

// What is known of one response; what was not asked for is absent.
struct RowScore {
  std::optional<double> reward;
  std::optional<double> logprob_sum;
  uint32_t num_tokens = 0;      // 0: not counted
  std::vector<float> logprobs;  // one a response token, or empty
  // The parts of the reward before their weights, where it has several.
  std::vector<std::pair<std::string, double>> sources;
};

// Not thread safe.
class RowScorer {
 public:
  virtual ~RowScorer() = default;

  // The scores of each example's responses, in order.
  virtual absl::StatusOr<std::vector<std::vector<RowScore>>> Score(
      std::span<const ScoreExample> examples) = 0;

  // What tells one scorer's numbers from another's, where their directories do
  // not: the fingerprint of a server's models.
  virtual std::string identity() const { return ""; }
};

struct ScorerOptions {
  std::string policy;  // model directories; empty: none
  std::string reward;
  bool per_token = false;
};

// Loads models into this process. May throw what libtorch throws.
using LoadScorer = std::function<absl::StatusOr<std::unique_ptr<RowScorer>>(
    const ScorerOptions& options)>;

}  // namespace varalign::cli

#endif  // VARALIGN_CLI_SCORE_ROW_H_
