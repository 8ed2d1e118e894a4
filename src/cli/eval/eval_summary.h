// The numbers of an evaluation. Pure functions: any thread.
#ifndef VARALIGN_CLI_EVAL_EVAL_SUMMARY_H_
#define VARALIGN_CLI_EVAL_EVAL_SUMMARY_H_

#include <span>
#include <string>
#include <vector>

#include "base/json.h"
#include "cli/eval/responses.h"

namespace varalign::cli {

// Which draws the log-probabilities of the samples are fit for.
enum class Draws { kFromThePolicy, kTruncated };

// Of one policy:
//   {"n","num_responses","unscored","reward_mean","reward_ci","length_mean",
//    "length_median","length_p90","stopped_share","distinct_1","distinct_2",
//    "distinct_3","kl","kl_ci","kl_se","by_length":[{"min_tokens","max_tokens",
//    "n","reward_mean","reward_ci"}]}
// `n` counts prompts: the responses to one prompt are one observation, their
// mean. `kl` is the mean of log pi(y|x) - log pi_ref(y|x) over the samples,
// null where there is no reference or the draws are not of pi.
base::Json SummaryOf(std::span<const EvalResponse> responses, Draws draws);

// Of policy against baseline, response by response:
//   {"win_rate","win_rate_ci","wins","ties","losses","by_length":[...]}
// A tie is half a win. A pair with a response that has no score is left out.
// REQUIRES: as many responses of each, of the same prompts.
base::Json Compare(std::span<const EvalResponse> responses,
                   std::span<const EvalResponse> baseline);

// Of the pairs that a reward model ranks: {"n","accuracy","accuracy_ci",
// "correct","ties","margin_mean"}; margins are r(chosen) - r(rejected).
base::Json PairAccuracy(std::span<const double> margins);

// For people.
std::string EvalText(const base::Json& result);

}  // namespace varalign::cli

#endif  // VARALIGN_CLI_EVAL_EVAL_SUMMARY_H_
