// Direct preference optimisation (arXiv 2305.18290), and what a step shows of
// it. Torch-free. For a prompt with chosen responses c and rejected ones l:
//
//   u = log pi - log pi_ref          of a whole response, nats
//   h = beta * (u_c - u_l)
//   L = mean over its pairs (c, l) of
//         - (1 - smoothing) log sigmoid(h) - smoothing log sigmoid(-h)
//     + sft_mix * mean over c of nll_c / n_c           (arXiv 2404.19733)
//
// beta * u is the implicit reward of a response.
//
// Pure functions and values: any thread, never block.
#ifndef VARALIGN_OBJECTIVE_PREFERENCE_H_
#define VARALIGN_OBJECTIVE_PREFERENCE_H_

#include <array>
#include <cstddef>
#include <cstdint>
#include <span>

#include "objective/policy_row.h"
#include "varalign/v1/run_config.pb.h"

namespace varalign::objective {

struct PreferenceOptions {
  double beta = 0.1;           // > 0
  double label_smoothing = 0;  // in [0, 0.5]
  double sft_mix = 0;          // >= 0

  // `rule` is resolved.
  static PreferenceOptions Of(const v1::Objective& rule);
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

  void AddPair(const PolicyRow& chosen, const PolicyRow& rejected, double beta);

  // To be added up over the ranks in place.
  std::span<double, kNumSums> sums() { return sums_; }
  std::span<const double, kNumSums> sums() const { return sums_; }

  uint64_t pairs() const;
  // Mean over pairs; 0 where there is none.
  double Mean(Sum sum) const;

 private:
  std::array<double, kNumSums> sums_{};
};

// Of the responses of one prompt; adds its pairs to `sums`. Without a pair L
// and its gradients are 0.
PolicyLoss PreferenceLossOf(std::span<const PolicyRow> rows,
                            const PreferenceOptions& options,
                            PreferenceSums& sums);

}  // namespace varalign::objective

#endif  // VARALIGN_OBJECTIVE_PREFERENCE_H_
