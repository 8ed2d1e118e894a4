#include "objective/policy_loss.h"

#include "objective/a_lol.h"

namespace varalign::objective {

using v1::Objective;

bool IsWeighedByPolicy(const Objective& rule) {
  return rule.kind() == Objective::KIND_DPO ||
         (rule.kind() == Objective::KIND_A_LOL &&
          rule.a_lol().variant() != Objective::ALol::VARIANT_REF_FREE);
}

PolicyLossFunction PolicyLossFunctionOf(const Objective& rule) {
  if (!IsWeighedByPolicy(rule)) return nullptr;
  if (rule.kind() == Objective::KIND_DPO) {
    return [options = PreferenceOptions::Of(rule)](
               std::span<const PolicyRow> rows, PreferenceSums& sums) {
      return PreferenceLossOf(rows, options, sums);
    };
  }
  return [rule](std::span<const PolicyRow> rows, PreferenceSums&) {
    return ALolLossOf(rows, rule);
  };
}

}  // namespace varalign::objective
