#include "objective/loss_scale.h"

#include <algorithm>
#include <cmath>

namespace varalign::objective {

using v1::Objective;

double Divisor(const PlannedCounts& counts, const Objective& rule) {
  uint64_t divisor = counts.trained_rows;
  if (rule.kind() == Objective::KIND_DPO) {
    divisor = counts.paired_examples;
  } else if (rule.convention() == Objective::CONVENTION_SUM) {
    divisor = counts.z_sets;
  } else if (rule.loss_reduction() == Objective::LOSS_REDUCTION_TOKEN_MEAN) {
    divisor = counts.trained_tokens;
  }
  return static_cast<double>(std::max<uint64_t>(divisor, 1));
}

double TokenWeight(double log_weight, uint32_t num_tokens,
                   const Objective& rule) {
  const double weight = std::exp(log_weight);
  return rule.loss_reduction() == Objective::LOSS_REDUCTION_SEQUENCE_MEAN
             ? weight / num_tokens
             : weight;
}

}  // namespace varalign::objective
