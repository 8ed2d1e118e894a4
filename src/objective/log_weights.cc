#include "objective/log_weights.h"

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <limits>

#include "absl/strings/str_cat.h"
#include "base/status_macros.h"
#include "objective/a_lol.h"
#include "objective/exponent.h"

namespace varalign::objective {
namespace {

using v1::Objective;

constexpr double kMinusInfinity = -std::numeric_limits<double>::infinity();

// log sum_k exp(factor * x_k); at least one x_k is finite.
double LogSumExp(std::span<const double> x, double factor = 1) {
  const double top = factor * *std::max_element(x.begin(), x.end());
  double sum = 0;
  for (const double value : x) sum += std::exp(factor * value - top);
  return top + std::log(sum);
}

// The limit of the weights as lambda goes to 0: the best rows share.
std::vector<double> BestTakesAll(const std::vector<double>& reward) {
  const double best = *std::max_element(reward.begin(), reward.end());
  const auto ties = std::count(reward.begin(), reward.end(), best);
  std::vector<double> log_weights;
  for (const double r : reward) {
    log_weights.push_back(r == best ? -std::log(static_cast<double>(ties))
                                    : kMinusInfinity);
  }
  return log_weights;
}

// log(exp(x) + exp(y)).
double LogAddExp(double x, double y) {
  const double top = std::max(x, y);
  return top == kMinusInfinity
             ? top
             : top + std::log1p(std::exp(std::min(x, y) - top));
}

// a_k - logsumexp of the others + log(K - 1). From both ends, so that no
// difference of nearly equal sums is taken.
void LeaveOneOut(std::vector<double>& a) {
  const size_t size = a.size();
  std::vector<double> after(size, kMinusInfinity);  // of those behind k
  for (size_t k = size - 1; k-- > 0;) {
    after[k] = LogAddExp(after[k + 1], a[k + 1]);
  }
  const double log_others = std::log(static_cast<double>(size - 1));
  double before = kMinusInfinity;
  for (size_t k = 0; k < size; ++k) {
    const double own = a[k];
    a[k] += log_others - LogAddExp(before, after[k]);
    before = LogAddExp(before, own);
  }
}

// Weights of sum 1 to the rule's convention.
void Scale(const Objective& rule, std::vector<double>& log_weights) {
  if (rule.convention() == Objective::CONVENTION_SUM) return;
  const double log_size = std::log(static_cast<double>(log_weights.size()));
  for (double& log_w : log_weights) log_w += log_size;
}

void Clip(const Objective& rule, ZSetWeights& weights) {
  if (rule.weight_clip() <= 0) return;
  const double bound = std::log(rule.weight_clip());
  for (double& log_w : weights.log_weights) {
    if (log_w <= bound) continue;
    log_w = bound;
    ++weights.num_clipped;
  }
  if (!rule.renormalize_after_clip()) return;
  const double log_sum = LogSumExp(weights.log_weights);
  for (double& log_w : weights.log_weights) log_w -= log_sum;
  Scale(rule, weights.log_weights);
}

absl::Status CheckRule(const Objective& rule) {
  if (rule.normalization() == Objective::NORMALIZATION_UNSPECIFIED ||
      rule.ref_logp() == Objective::REF_LOGP_UNSPECIFIED ||
      rule.convention() == Objective::CONVENTION_UNSPECIFIED ||
      !(rule.lambda() > 0)) {
    return absl::InvalidArgumentError(
        "the objective is not resolved: a field has no value");
  }
  if (NeedsRewardSd(rule) || rule.target_kl() != 0) {
    return absl::InvalidArgumentError(
        "objective.lambda is in units of the reward's standard deviation, or "
        "still to be solved for; weights need it in the reward's own unit");
  }
  return absl::OkStatus();
}

}  // namespace

absl::StatusOr<ZSetWeights> LogWeights(std::span<const Score> z_set,
                                       const Objective& rule,
                                       std::span<const uint32_t> group) {
  RETURN_IF_ERROR(CheckRule(rule));
  if (!group.empty() && group.size() != z_set.size()) {
    return absl::InvalidArgumentError(absl::StrCat(
        "prompts and scores of a Z-set differ in number: ", group.size(),
        " and ", z_set.size()));
  }
  if (rule.kind() == Objective::KIND_A_LOL) return LogAdvantages(z_set, rule);
  const bool leaves_one_out =
      rule.estimator() == Objective::ESTIMATOR_LEAVE_ONE_OUT;
  if (leaves_one_out && z_set.size() < 2) {
    return absl::InvalidArgumentError(
        "objective.estimator leave_one_out needs two responses of a prompt, "
        "and the Z-set has one");
  }
  ASSIGN_OR_RETURN(const Exponent exponent, ExponentOf(z_set, rule, group));

  ZSetWeights weights;
  if (rule.preset() == Objective::PRESET_RAFT) {
    weights.log_weights = BestTakesAll(exponent.reward);
    Scale(rule, weights.log_weights);
  } else {
    std::vector<double> a = exponent.reference;
    for (size_t k = 0; k < a.size(); ++k) a[k] += exponent.reward[k];
    const double log_sum = LogSumExp(a);
    weights.log_z =
        log_sum - std::log(static_cast<double>(a.size())) + exponent.shift;
    weights.log_weights = std::move(a);
    if (leaves_one_out) {
      LeaveOneOut(weights.log_weights);
    } else if (rule.normalization() != Objective::NORMALIZATION_NONE) {
      for (double& log_w : weights.log_weights) log_w -= log_sum;
      Scale(rule, weights.log_weights);
    }
  }
  Clip(rule, weights);
  weights.ess = std::exp(2 * LogSumExp(weights.log_weights) -
                         LogSumExp(weights.log_weights, 2));
  return weights;
}

}  // namespace varalign::objective
