#include "objective/a_lol.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <numeric>
#include <vector>

#include "base/status_macros.h"
#include "objective/exponent.h"

namespace varalign::objective {
namespace {

using ALol = v1::Objective::ALol;

double Sigmoid(double x) {
  return x >= 0 ? 1 / (1 + std::exp(-x)) : std::exp(x) / (1 + std::exp(x));
}

// (sum w)^2 / sum w^2; 0 where every weight is.
double EffectiveSize(std::span<const double> weights) {
  double sum = 0, squares = 0;
  for (const double w : weights) {
    sum += w;
    squares += w * w;
  }
  return squares > 0 ? sum * sum / squares : 0;
}

double Value(std::span<const double> rewards, const ALol& options) {
  if (options.value() == ALol::VALUE_NONE) return 0;
  return std::accumulate(rewards.begin(), rewards.end(), 0.0) /
         static_cast<double>(rewards.size());
}

double Ratio(const PolicyRow& row, const ALol& options) {
  return std::clamp(std::exp(row.logprob - row.reference_logprob),
                    1 - options.clip(), 1 + options.clip());
}

}  // namespace

absl::StatusOr<ZSetWeights> LogAdvantages(std::span<const Score> z_set,
                                          const v1::Objective& rule) {
  RETURN_IF_ERROR(CheckScores(z_set));
  std::vector<double> advantages;
  for (const Score& score : z_set) advantages.push_back(Sigmoid(score.reward));
  const double value = Value(advantages, rule.a_lol());
  ZSetWeights weights;
  for (double& advantage : advantages) {
    advantage = std::max(advantage - value, 0.0);
    weights.log_weights.push_back(
        advantage > 0 ? std::log(advantage)
                      : -std::numeric_limits<double>::infinity());
  }
  weights.ess = EffectiveSize(advantages);
  return weights;
}

PolicyLoss ALolLossOf(std::span<const PolicyRow> rows,
                      const v1::Objective& rule) {
  const ALol& options = rule.a_lol();
  const bool is_kl = options.variant() == ALol::VARIANT_KL;
  PolicyLoss loss;
  for (const PolicyRow& row : rows) {
    const double share =
        rule.loss_reduction() == v1::Objective::LOSS_REDUCTION_SEQUENCE_MEAN
            ? 1.0 / row.num_tokens
            : 1.0;
    const double weight =
        share * row.advantage * (is_kl ? 1 : Ratio(row, options));
    const double penalty = is_kl ? share * options.kl_coefficient() : 0;
    loss.loss +=
        -weight * row.logprob + penalty * (row.logprob - row.reference_logprob);
    loss.gradients.push_back(penalty - weight);
  }
  return loss;
}

}  // namespace varalign::objective
