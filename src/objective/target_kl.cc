#include "objective/target_kl.h"

#include <algorithm>
#include <cmath>
#include <limits>

#include "absl/status/status.h"
#include "absl/strings/str_cat.h"

namespace varalign::objective {
namespace {

// KL(softmax(r / lambda) || uniform), nats.
double Kl(std::span<const double> rewards, double lambda) {
  const double best = *std::max_element(rewards.begin(), rewards.end());
  double sum = 0,
         mean = 0;  // of exp(x), and of x under p; x = (r - best)/lambda
  for (const double r : rewards) {
    const double x = (r - best) / lambda;
    const double weight = std::exp(x);
    sum += weight;
    if (weight > 0) mean += weight * x;
  }
  const auto size = static_cast<double>(rewards.size());
  return mean / sum - std::log(sum) + std::log(size);
}

double MeanKl(std::span<const std::vector<double>> prompts, double lambda) {
  double sum = 0;
  for (const std::vector<double>& rewards : prompts) sum += Kl(rewards, lambda);
  return sum / static_cast<double>(prompts.size());
}

double Range(std::span<const double> rewards) {
  const auto [least, most] =
      std::minmax_element(rewards.begin(), rewards.end());
  return *most - *least;
}

absl::Status OutOfReach(double target_kl, double largest) {
  return absl::FailedPreconditionError(absl::StrCat(
      "objective.target_kl is above what the responses can express, which is "
      "the log of their number for each prompt, less where the best ones tie; "
      "lower it, or set objective.lambda instead. Target: ",
      target_kl, ", largest: ", largest));
}

}  // namespace

void TargetKlSolver::AddPrompt(std::span<const double> rewards) {
  if (rewards.size() < 2) return;
  prompts_.emplace_back(rewards.begin(), rewards.end());
}

absl::StatusOr<double> TargetKlSolver::Lambda(double target_kl) const {
  double range = 0;
  for (const auto& rewards : prompts_) range = std::max(range, Range(rewards));
  if (range <= 0 || !std::isfinite(range)) {
    return absl::FailedPreconditionError(absl::StrCat(
        "objective.target_kl needs prompts whose responses have different, "
        "finite rewards; set objective.lambda instead. Prompts with two "
        "responses or more: ",
        prompts_.size()));
  }
  // The divergence falls from its largest to 0 as lambda grows.
  constexpr double kLeast = 1e-9, kMost = 1e9;  // of the range
  double low = std::log(kLeast * range), high = std::log(kMost * range);
  const double largest = MeanKl(prompts_, std::exp(low));
  if (target_kl >= largest) return OutOfReach(target_kl, largest);
  constexpr double kPrecision = 1e-13;
  while (high - low > kPrecision * std::max(1.0, std::abs(low))) {
    const double middle = low + (high - low) / 2;
    if (middle <= low || middle >= high) break;
    (MeanKl(prompts_, std::exp(middle)) > target_kl ? low : high) = middle;
  }
  return std::exp(low);
}

}  // namespace varalign::objective
