#include "objective/exponent.h"

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <unordered_map>

#include "absl/status/status.h"
#include "absl/strings/str_cat.h"
#include "base/status_macros.h"

namespace varalign::objective {
namespace {

using v1::Objective;

double ReferenceTerm(const Score& score, const Objective& rule) {
  switch (rule.ref_logp()) {
    case Objective::REF_LOGP_SUM:
      return rule.alpha() * score.logprob_sum;
    case Objective::REF_LOGP_MEAN:
      return rule.alpha() * score.logprob_sum / score.num_tokens;
    default:
      return 0;
  }
}

bool SamePrompt(std::span<const uint32_t> group) {
  return std::all_of(group.begin(), group.end(),
                     [&](uint32_t prompt) { return prompt == group.front(); });
}

// The mean reward of each row's prompt; 0 for a prompt with one row, which
// centring would leave without any reward at all.
std::vector<double> PromptMeans(std::span<const Score> z_set,
                                std::span<const uint32_t> group) {
  struct Sum {
    double reward = 0;
    size_t rows = 0;
  };
  std::unordered_map<uint32_t, Sum> sums;
  const auto prompt = [&](size_t k) { return group.empty() ? 0 : group[k]; };
  for (size_t k = 0; k < z_set.size(); ++k) {
    Sum& sum = sums[prompt(k)];
    sum.reward += z_set[k].reward;
    ++sum.rows;
  }
  std::vector<double> means(z_set.size());
  for (size_t k = 0; k < z_set.size(); ++k) {
    const Sum& sum = sums[prompt(k)];
    if (sum.rows > 1) means[k] = sum.reward / static_cast<double>(sum.rows);
  }
  return means;
}

double Mean(std::span<const Score> z_set) {
  double sum = 0;
  for (const Score& score : z_set) sum += score.reward;
  return sum / static_cast<double>(z_set.size());
}

// What every row of a normalised set loses or keeps alike changes no weight; a
// clip is the only thing that sees it.
bool CentresAllAlike(const Objective& rule, std::span<const uint32_t> group) {
  return rule.normalization() != Objective::NORMALIZATION_NONE &&
         (rule.reward_center() == Objective::REWARD_CENTER_BATCH ||
          SamePrompt(group));
}

// [K] what centring takes from each reward.
std::vector<double> Centres(std::span<const Score> z_set, const Objective& rule,
                            std::span<const uint32_t> group) {
  const bool idle = CentresAllAlike(rule, group) && rule.reward_clip() <= 0;
  if (rule.reward_center() == Objective::REWARD_CENTER_NONE || idle) {
    return std::vector<double>(z_set.size());
  }
  if (rule.reward_center() == Objective::REWARD_CENTER_BATCH) {
    return std::vector<double>(z_set.size(), Mean(z_set));
  }
  return PromptMeans(z_set, group);
}

// Fills `reward` with r' in the reward's own unit, and `shift`.
void CentreAndClip(std::span<const Score> z_set, const Objective& rule,
                   std::span<const uint32_t> group, Exponent& exponent) {
  const std::vector<double> centres = Centres(z_set, rule, group);
  if (CentresAllAlike(rule, group)) exponent.shift = centres.front();
  for (size_t k = 0; k < z_set.size(); ++k) {
    double reward = z_set[k].reward - centres[k];
    if (rule.reward_clip() > 0) {
      reward = std::clamp(reward, -rule.reward_clip(), rule.reward_clip());
    }
    exponent.reward.push_back(reward);
  }
}

}  // namespace

absl::Status CheckScores(std::span<const Score> z_set) {
  if (z_set.empty()) return absl::InvalidArgumentError("the Z-set is empty");
  for (size_t k = 0; k < z_set.size(); ++k) {
    const Score& score = z_set[k];
    if (!std::isfinite(score.reward)) {
      return absl::DataLossError(
          absl::StrCat("reward is not finite (", score.reward,
                       "); score the response again or drop it: row ", k));
    }
    if (!std::isfinite(score.logprob_sum)) {
      return absl::DataLossError(absl::StrCat(
          "reference log-probability is not finite (", score.logprob_sum,
          "); score the response again or drop it: row ", k));
    }
    if (score.num_tokens == 0) {
      return absl::DataLossError(absl::StrCat(
          "response has no tokens; drop the empty response: row ", k));
    }
  }
  return absl::OkStatus();
}

absl::StatusOr<Exponent> ExponentOf(std::span<const Score> z_set,
                                    const Objective& rule,
                                    std::span<const uint32_t> group) {
  RETURN_IF_ERROR(CheckScores(z_set));
  Exponent exponent;
  if (rule.preset() == Objective::PRESET_SFT) {
    exponent.reference.resize(z_set.size());
    exponent.reward.resize(z_set.size());
    return exponent;
  }
  CentreAndClip(z_set, rule, group, exponent);
  exponent.shift /= rule.lambda();
  for (size_t k = 0; k < z_set.size(); ++k) {
    exponent.reference.push_back(ReferenceTerm(z_set[k], rule));
    exponent.reward[k] /= rule.lambda();
    if (!std::isfinite(exponent.reference[k] + exponent.reward[k])) {
      return absl::DataLossError(absl::StrCat(
          "alpha*l + r/lambda is not finite; raise objective.lambda (",
          rule.lambda(), ") or lower objective.alpha (", rule.alpha(),
          "): row ", k));
    }
  }
  return exponent;
}

}  // namespace varalign::objective
