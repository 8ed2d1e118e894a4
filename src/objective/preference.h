// Direct preference optimisation (arXiv 2305.18290), and what a step shows of
// it. Torch-free. For a prompt with chosen responses c and rejected ones l:
//
//   u = log pi - log pi_ref          of a whole response, nats
//   h = beta * (u_c - u_l)
//   L = mean over its pairs (c, l) of
//         - (1 - smoothing) log sigmoid(h) - smoothing log sigmoid(-h)
//     + sft_mix * mean over c of nll_c / n_c           (arXiv 2404.19733)
//
// beta * u is the implicit reward of a response. L depends on the policy by
// the log-probabilities of the rows alone, so its gradient is the sum over them
// of dL/dlog pi * grad log pi: a weighted likelihood whose weights are known
// once the forward pass is done.
//
// Pure functions and values: any thread, never block.
#ifndef VARALIGN_OBJECTIVE_PREFERENCE_H_
#define VARALIGN_OBJECTIVE_PREFERENCE_H_

#include <array>
#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

#include "base/role.h"
#include "varalign/v1/run_config.pb.h"

namespace varalign::objective {

struct PreferenceOptions {
  double beta = 0.1;           // > 0
  double label_smoothing = 0;  // in [0, 0.5]
  double sft_mix = 0;          // >= 0

  // `rule` is resolved.
  static PreferenceOptions Of(const v1::Objective& rule);
};

// A response with a role.
struct PreferenceRow {
  double logprob = 0;            // log pi(y|x), nats
  double reference_logprob = 0;  // log pi_ref(y|x), nats
  uint32_t num_tokens = 0;       // end token included; >= 1
  base::Role role = base::Role::kUnknown;
};

// Over the pairs of a step; the sums add up over examples and ranks.
class PreferenceSums {
 public:
  enum Sum : size_t {
    kPairs,
    kRight,  // the chosen response has the larger implicit reward
    kChosenReward,
    kRejectedReward,
    kChosenLogprob,
    kRejectedLogprob,
    kNumSums,
  };

  void AddPair(const PreferenceRow& chosen, const PreferenceRow& rejected,
               double beta);

  // To be added up over the ranks in place.
  std::span<double, kNumSums> sums() { return sums_; }
  std::span<const double, kNumSums> sums() const { return sums_; }

  uint64_t pairs() const;
  // Mean over pairs; 0 where there is none.
  double Mean(Sum sum) const;

 private:
  std::array<double, kNumSums> sums_{};
};

struct PreferenceLoss {
  double loss = 0;
  std::vector<double> gradients;  // [rows] dL/dlog pi
};

// Of the responses of one prompt; adds its pairs to `sums`. Without a pair L
// and its gradients are 0.
PreferenceLoss PreferenceLossOf(std::span<const PreferenceRow> rows,
                                const PreferenceOptions& options,
                                PreferenceSums& sums);

}  // namespace varalign::objective

#endif  // VARALIGN_OBJECTIVE_PREFERENCE_H_
