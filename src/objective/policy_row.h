// Losses that depend on the policy by the log-probabilities of whole responses
// alone. Their gradient is the sum over rows of
//
//   dL/dlog pi(y|x) * grad log pi(y|x)
//
// a weighted likelihood whose weights are known once the forward pass is done.
#ifndef VARALIGN_OBJECTIVE_POLICY_ROW_H_
#define VARALIGN_OBJECTIVE_POLICY_ROW_H_

#include <cstdint>
#include <vector>

#include "base/role.h"

namespace varalign::objective {

// A response as such a loss sees it.
struct PolicyRow {
  double logprob = 0;            // log pi(y|x), nats
  double reference_logprob = 0;  // log pi_ref(y|x), nats
  uint32_t num_tokens = 0;       // end token included; >= 1
  base::Role role = base::Role::kUnknown;
  double advantage = 0;  // of kind a_lol, above 0
};

struct PolicyLoss {
  double loss = 0;
  std::vector<double> gradients;  // [rows] dL/dlog pi
};

}  // namespace varalign::objective

#endif  // VARALIGN_OBJECTIVE_POLICY_ROW_H_
