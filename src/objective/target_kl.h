// Lambda from a bound on the divergence: the dual of MPO (arXiv 1806.06920),
//
//   lambda = argmin  lambda * eps
//                    + lambda * mean_x log((1/K) sum_k exp(r_k / lambda))
//
// at whose minimum the mean over prompts of KL(p || uniform) is eps, with
// p = softmax(r / lambda) over the K responses of a prompt. For samples of the
// reference that is the estimate of KL(pi* || pi_ref).
#ifndef VARALIGN_OBJECTIVE_TARGET_KL_H_
#define VARALIGN_OBJECTIVE_TARGET_KL_H_

#include <span>
#include <vector>

#include "absl/status/statusor.h"

namespace varalign::objective {

// Feed prompt by prompt; keeps the rewards. Not thread safe.
class TargetKlSolver {
 public:
  // A prompt with one response has no divergence to give and is left out.
  void AddPrompt(std::span<const double> rewards);

  // In the reward's own unit, to 1e-12 of itself. `target_kl` > 0, nats.
  // FailedPrecondition: no lambda gives so large a divergence, which is below
  // log K and lower where best responses tie; or no prompt has two responses,
  // or all rewards of every prompt are equal.
  absl::StatusOr<double> Lambda(double target_kl) const;

 private:
  std::vector<std::vector<double>> prompts_;
};

}  // namespace varalign::objective

#endif  // VARALIGN_OBJECTIVE_TARGET_KL_H_
