// Which kinds weigh their rows by the policy as it stands, and how.
#ifndef VARALIGN_OBJECTIVE_POLICY_LOSS_H_
#define VARALIGN_OBJECTIVE_POLICY_LOSS_H_

#include <functional>
#include <span>

#include "objective/policy_row.h"
#include "objective/preference.h"
#include "varalign/v1/run_config.pb.h"

namespace varalign::objective {

// The loss of the responses of one prompt, all of them under kind dpo; adds its
// pairs to the sums, where there are pairs.
using PolicyLossFunction =
    std::function<PolicyLoss(std::span<const PolicyRow>, PreferenceSums&)>;

// kind dpo, and a_lol but for its variant ref_free. `rule` is resolved here and
// below.
bool IsWeighedByPolicy(const v1::Objective& rule);

// Empty where rows are not weighed by the policy.
PolicyLossFunction PolicyLossFunctionOf(const v1::Objective& rule);

}  // namespace varalign::objective

#endif  // VARALIGN_OBJECTIVE_POLICY_LOSS_H_
