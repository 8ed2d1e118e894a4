// Turns the scores of a Z-set into log-weights (docs/method.md). Torch-free.
//
//   a     = alpha * l + r' / lambda     l: sum | mean | none of log pi_ref
//                                       r': centred, then clipped reward
//   log w = a - logsumexp_S(a) + log|S|   convention mean: mean of w is 1
//   log w = a - logsumexp_S(a)            convention sum
//   log w = a                             normalization none
//   log w_i = a_i - logsumexp_{S \ i}(a) + log(|S| - 1)
//                                         estimator leave_one_out
//   log w = log(advantage)                kind a_lol (objective/a_lol.h)
//
// The reward server calls it once a Z-set and streams the rows that a worker
// asked for; a worker calls it itself where scores are columns of the data set.
// Ranks, micro-batches and parameters do not appear here, so weights cannot
// depend on how a batch is split. float64 in the log domain throughout.
//
// Pure functions: any thread, never block.
#ifndef VARALIGN_OBJECTIVE_LOG_WEIGHTS_H_
#define VARALIGN_OBJECTIVE_LOG_WEIGHTS_H_

#include <cstdint>
#include <optional>
#include <span>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "varalign/v1/run_config.pb.h"

namespace varalign::objective {

struct Score {
  double reward = 0;        // r, in the reward model's own unit
  double logprob_sum = 0;   // log pi_ref(y|x), nats
  uint32_t num_tokens = 0;  // of the response, end token included; >= 1
};

struct ZSetWeights {
  std::vector<double> log_weights;  // [K], in the order of the scores
  double log_z = 0;                 // logsumexp(a) - log K of the Z-set
  double ess = 0;                   // (sum w)^2 / sum w^2
  uint32_t num_clipped = 0;
};

// Fills every field that the user left open: from the preset, then from the
// defaults. InvalidArgument for a combination that has no meaning, with the
// keys' names: sum convention with token_mean reduction, ...
absl::StatusOr<v1::Objective> ResolveObjective(const v1::Objective& objective);

// Does the objective need rewards, reference log-probabilities, or the pooled
// reward sd? `objective` must be resolved.
bool NeedsRewards(const v1::Objective& objective);
bool NeedsLogProbs(const v1::Objective& objective);
bool NeedsRewardSd(const v1::Objective& objective);

// The rule with lambda, and rewards, in the reward's own unit. `reward_sd` > 0
// where needed.
v1::Objective WithRawLambda(const v1::Objective& objective, double reward_sd);

// The rule with this lambda, in the reward's own unit, in place of a target_kl.
v1::Objective WithLambda(const v1::Objective& objective, double lambda_raw);

// The Z-sets of a Z-block: `num_responses[i]` rows for example i, numbered
// through the block. Each returned set lists row numbers; every row is in
// exactly one.
std::vector<std::vector<uint32_t>> ZSets(
    std::span<const uint32_t> num_responses, const v1::Objective& rule);

// REQUIRES: `rule` resolved, lambda_unit raw. `group[k]` tells which prompt row
// k belongs to (for centring); empty: all the same prompt.
//   InvalidArgument   `z_set` is empty, or has one row where it is left out of
//                     its own Z; or the rule is not resolved
//   DataLoss          a score is not finite or has no tokens; the message ends
//                     in its index
absl::StatusOr<ZSetWeights> LogWeights(std::span<const Score> z_set,
                                       const v1::Objective& rule,
                                       std::span<const uint32_t> group = {});

// Pooled within-prompt standard deviation, n - 1:
//   s^2 = sum_x sum_k (r_xk - mean_x)^2 / sum_x (K_x - 1);
// where every K is 1, the sd of all rewards. Feed prompt by prompt.
class RewardSdEstimator {
 public:
  void AddPrompt(std::span<const double> rewards);
  // FailedPrecondition if it is 0 or there is one reward only.
  absl::StatusOr<double> Sd() const;
  // Every prompt had one response: the sd mixes the prompts' offsets.
  bool only_singles() const { return within_df_ == 0; }

 private:
  double within_sum_ = 0;
  uint64_t within_df_ = 0;
  double mean_ = 0;  // Welford over all rewards
  double m2_ = 0;
  uint64_t count_ = 0;
};

}  // namespace varalign::objective

#endif  // VARALIGN_OBJECTIVE_LOG_WEIGHTS_H_
