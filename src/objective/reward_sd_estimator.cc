#include <algorithm>
#include <cmath>

#include "absl/status/status.h"
#include "absl/strings/str_cat.h"
#include "objective/log_weights.h"

namespace varalign::objective {

void RewardSdEstimator::AddPrompt(std::span<const double> rewards) {
  if (rewards.empty()) return;
  double prompt_mean = 0;
  for (const double r : rewards) prompt_mean += r;
  prompt_mean /= static_cast<double>(rewards.size());
  // Rounding of the mean must not give equal rewards a spread.
  const auto [least, most] =
      std::minmax_element(rewards.begin(), rewards.end());
  if (*least == *most) prompt_mean = *least;
  for (const double r : rewards) {
    within_sum_ += (r - prompt_mean) * (r - prompt_mean);
    ++count_;
    const double delta = r - mean_;
    mean_ += delta / static_cast<double>(count_);
    m2_ += delta * (r - mean_);
  }
  within_df_ += rewards.size() - 1;
}

absl::StatusOr<double> RewardSdEstimator::Sd() const {
  if (count_ < 2) {
    return absl::FailedPreconditionError(
        absl::StrCat("the reward's standard deviation needs two rewards; set "
                     "objective.lambda_unit: raw. Rewards: ",
                     count_));
  }
  const double variance = only_singles()
                              ? m2_ / static_cast<double>(count_ - 1)
                              : within_sum_ / static_cast<double>(within_df_);
  if (!std::isfinite(variance)) {
    return absl::FailedPreconditionError(
        "the reward's standard deviation is not finite; score the data again");
  }
  if (variance <= 0) {
    return absl::FailedPreconditionError(absl::StrCat(
        "all responses of a prompt have the same reward, so weights cannot "
        "tell them apart; check the reward model, or set "
        "objective.lambda_unit: raw. Rewards: ",
        count_));
  }
  return std::sqrt(variance);
}

}  // namespace varalign::objective
