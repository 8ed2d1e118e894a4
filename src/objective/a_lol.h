// Advantage-leftover-lunch (arXiv 2305.14718). Torch-free.
//
//   R = sigmoid(r)                     r: the reward, in its model's own unit
//   A = R - V                          V: mean R of the prompt's responses, or
//                                         0 (R-LOL)
//   rows with A <= 0 are left out
//
//   sequence   L = sum A * rho * nll,  rho = clip(pi/pi_ref, 1 - c, 1 + c)
//   ref_free   L = sum A * nll
//   kl         L = sum A * nll + b * (log pi - log pi_ref)
//
// rho follows the policy from step to step; no gradient flows through it. nll
// is summed over a response's tokens, or over that divided by their number,
// where `loss_reduction` says so.
//
// Pure functions: any thread, never block.
#ifndef VARALIGN_OBJECTIVE_A_LOL_H_
#define VARALIGN_OBJECTIVE_A_LOL_H_

#include <span>

#include "absl/status/statusor.h"
#include "objective/log_weights.h"
#include "objective/policy_row.h"
#include "varalign/v1/run_config.pb.h"

namespace varalign::objective {

// log A of a prompt's responses, -inf where A <= 0; log_z is 0. `rule` is
// resolved, of kind a_lol; codes as for LogWeights.
absl::StatusOr<ZSetWeights> LogAdvantages(std::span<const Score> z_set,
                                          const v1::Objective& rule);

// Of rows with A above 0, under a resolved rule of variant sequence or kl.
PolicyLoss ALolLossOf(std::span<const PolicyRow> rows,
                      const v1::Objective& rule);

}  // namespace varalign::objective

#endif  // VARALIGN_OBJECTIVE_A_LOL_H_
