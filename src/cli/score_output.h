// The lines that `score` writes.
#ifndef VARALIGN_CLI_SCORE_OUTPUT_H_
#define VARALIGN_CLI_SCORE_OUTPUT_H_

#include <string>
#include <vector>

#include "absl/status/status.h"
#include "cli/score_row.h"

namespace varalign::cli {

// One line a response:
//   {"version","example","response","reward","logprob_sum","num_tokens",
//    "logprobs","sources"}; what was not computed is left out
void AppendRows(const ScoreExample& example,
                const std::vector<RowScore>& scores, std::string& out);

// One line an example, a scored group that `weights` and `prepare` read:
//   {"version","messages" or "prompt","responses","rewards","logprob_sums",
//    "num_tokens","reward_model","reward_pattern",...}; rewards and
//    log-probabilities that the row came with stay where they were not computed
// InvalidArgument for a row of ids: its text is not known.
absl::Status AppendGroup(const ScoreExample& example,
                         const std::vector<RowScore>& scores, std::string& out);

}  // namespace varalign::cli

#endif  // VARALIGN_CLI_SCORE_OUTPUT_H_
