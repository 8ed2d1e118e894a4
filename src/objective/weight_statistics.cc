#include "objective/weight_statistics.h"

#include <algorithm>
#include <cmath>
#include <vector>

#include "absl/strings/str_cat.h"
#include "base/status_macros.h"
#include "objective/exponent.h"

namespace varalign::objective {
namespace {

constexpr double kSmallWeight = 1e-3;

// Sum over k of (x_k - mean x)(y_k - mean y).
double Product(std::span<const double> x, std::span<const double> y) {
  if (x.size() < 2) return 0;
  const double count = static_cast<double>(x.size());
  double mean_x = 0, mean_y = 0;
  for (size_t k = 0; k < x.size(); ++k) {
    mean_x += x[k] / count;
    mean_y += y[k] / count;
  }
  double sum = 0;
  for (size_t k = 0; k < x.size(); ++k) {
    sum += (x[k] - mean_x) * (y[k] - mean_y);
  }
  return sum;
}

std::optional<double> Ratio(double sum, double count) {
  if (count <= 0) return std::nullopt;
  return sum / count;
}

std::optional<double> Correlation(double xy, double xx, double yy) {
  if (xx <= 0 || yy <= 0) return std::nullopt;
  return std::clamp(xy / std::sqrt(xx) / std::sqrt(yy), -1.0, 1.0);
}

std::optional<double> SampleSd(double square, double sum, double count) {
  if (count < 2) return std::nullopt;
  return std::sqrt(std::max(0.0, (square - sum * sum / count) / (count - 1)));
}

}  // namespace

absl::Status WeightStatistics::AddZSet(std::span<const Score> z_set,
                                       const ZSetWeights& weights,
                                       const v1::Objective& rule,
                                       std::span<const uint32_t> group,
                                       std::span<const base::Role> roles) {
  const size_t size = z_set.size();
  if (weights.log_weights.size() != size ||
      (!roles.empty() && roles.size() != size)) {
    return absl::InvalidArgumentError(absl::StrCat(
        "scores, weights and roles of a Z-set differ in number: ", size, ", ",
        weights.log_weights.size(), ", ", roles.size()));
  }
  ASSIGN_OR_RETURN(const Exponent exponent, ExponentOf(z_set, rule, group));
  AddWeights(z_set, weights);
  AddRoles(weights, roles);
  AddSpreads(z_set, weights);
  sums_[kReferenceTermSquare] +=
      Product(exponent.reference, exponent.reference);
  sums_[kRewardTermSquare] += Product(exponent.reward, exponent.reward);
  return absl::OkStatus();
}

void WeightStatistics::AddWeights(std::span<const Score> z_set,
                                  const ZSetWeights& weights) {
  const double size = static_cast<double>(z_set.size());
  double sum = 0, largest = 0;
  for (const double log_w : weights.log_weights) {
    const double w = std::exp(log_w);
    sum += w;
    largest = std::max(largest, w);
    sums_[kSmall] += w < kSmallWeight;
  }
  double entropy = 0, reward = 0, weighted_reward = 0;
  for (size_t k = 0; k < z_set.size(); ++k) {
    // A set without any weight, of kind a_lol alone, counts as equal weights.
    const double p =
        sum > 0 ? std::exp(weights.log_weights[k]) / sum : 1 / size;
    if (p > 0) entropy -= p * std::log(p);
    reward += z_set[k].reward / size;
    weighted_reward += p * z_set[k].reward;
    sums_[kTokens] += z_set[k].num_tokens;
  }
  sums_[kRows] += size;
  sums_[kZSets] += 1;
  if (z_set.size() == 1) {
    sums_[kTrivialZRows] += 1;
  } else {
    sums_[kLargerZSets] += 1;
    sums_[kEssNorm] += std::max(weights.ess - 1, 0.0) / (size - 1);
  }
  sums_[kEssRatio] += weights.ess / size;
  sums_[kMax] += largest;
  sums_[kEntropy] += entropy;
  sums_[kKl] += std::log(size) - entropy;
  sums_[kLogZ] += weights.log_z;
  sums_[kLogZSquare] += weights.log_z * weights.log_z;
  sums_[kReward] += reward;
  sums_[kWeightedReward] += weighted_reward;
  sums_[kWeight] += sum;
  sums_[kClipped] += weights.num_clipped;
}

void WeightStatistics::AddRoles(const ZSetWeights& weights,
                                std::span<const base::Role> roles) {
  for (size_t k = 0; k < roles.size(); ++k) {
    if (roles[k] == base::Role::kUnknown) continue;
    const bool chosen = roles[k] == base::Role::kChosen;
    sums_[chosen ? kChosen : kRejected] += 1;
    sums_[chosen ? kChosenWeight : kRejectedWeight] +=
        std::exp(weights.log_weights[k]);
  }
}

void WeightStatistics::AddSpreads(std::span<const Score> z_set,
                                  const ZSetWeights& weights) {
  std::vector<double> reward, all_length, log_weight, length;
  for (size_t k = 0; k < z_set.size(); ++k) {
    reward.push_back(z_set[k].reward);
    all_length.push_back(z_set[k].num_tokens);
    if (!std::isfinite(weights.log_weights[k])) continue;
    log_weight.push_back(weights.log_weights[k]);
    length.push_back(z_set[k].num_tokens);
  }
  sums_[kLogWeightSquare] += Product(log_weight, log_weight);
  sums_[kLengthSquare] += Product(length, length);
  sums_[kLogWeightLength] += Product(log_weight, length);
  sums_[kRewardSquare] += Product(reward, reward);
  sums_[kAllLengthSquare] += Product(all_length, all_length);
  sums_[kRewardLength] += Product(reward, all_length);
}

void WeightStatistics::Merge(const WeightStatistics& other) {
  for (size_t i = 0; i < kNumSums; ++i) sums_[i] += other.sums_[i];
}

WeightMetrics WeightStatistics::Metrics() const {
  const auto& s = sums_;
  const auto per_set = [&s](Sum sum) { return Ratio(s[sum], s[kZSets]); };
  const auto per_row = [&s](Sum sum) { return Ratio(s[sum], s[kRows]); };
  WeightMetrics m;
  m.rows = static_cast<uint64_t>(std::llround(s[kRows]));
  m.z_sets = static_cast<uint64_t>(std::llround(s[kZSets]));
  m.trivial_z_rows = static_cast<uint64_t>(std::llround(s[kTrivialZRows]));
  m.ess_ratio = per_set(kEssRatio);
  m.ess_norm = Ratio(s[kEssNorm], s[kLargerZSets]);
  m.max = per_set(kMax);
  m.entropy = per_set(kEntropy);
  m.kl = per_set(kKl);
  m.log_z_mean = per_set(kLogZ);
  m.log_z_sd = SampleSd(s[kLogZSquare], s[kLogZ], s[kZSets]);
  m.reward_mean = per_set(kReward);
  m.weighted_reward_mean = per_set(kWeightedReward);
  m.mean = per_row(kWeight);
  m.small_share = per_row(kSmall);
  m.clipped_share = per_row(kClipped);
  m.response_length = per_row(kTokens);
  m.chosen_mean = Ratio(s[kChosenWeight], s[kChosen]);
  m.rejected_mean = Ratio(s[kRejectedWeight], s[kRejected]);
  m.length_corr =
      Correlation(s[kLogWeightLength], s[kLogWeightSquare], s[kLengthSquare]);
  m.reward_length_corr =
      Correlation(s[kRewardLength], s[kRewardSquare], s[kAllLengthSquare]);
  m.ref_share = Ratio(s[kReferenceTermSquare],
                      s[kReferenceTermSquare] + s[kRewardTermSquare]);
  return m;
}

}  // namespace varalign::objective
