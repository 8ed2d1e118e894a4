#include "objective/preference.h"

#include <algorithm>
#include <cmath>

namespace varalign::objective {
namespace {

using base::Role;

double ImplicitReward(const PolicyRow& row, double beta) {
  return beta * (row.logprob - row.reference_logprob);
}

// log(1 + exp(x)) = -log sigmoid(-x), for any x.
double Softplus(double x) {
  return std::max(x, 0.0) + std::log1p(std::exp(-std::abs(x)));
}

double Sigmoid(double x) {
  return x >= 0 ? 1 / (1 + std::exp(-x)) : std::exp(x) / (1 + std::exp(x));
}

double CountOf(std::span<const PolicyRow> rows, Role role) {
  return static_cast<double>(
      std::count_if(rows.begin(), rows.end(),
                    [role](const PolicyRow& row) { return row.role == role; }));
}

void AddSft(std::span<const PolicyRow> rows, double factor, PolicyLoss& loss) {
  for (size_t k = 0; k < rows.size(); ++k) {
    if (rows[k].role != Role::kChosen) continue;
    const double share = factor / rows[k].num_tokens;
    loss.loss -= share * rows[k].logprob;
    loss.gradients[k] -= share;
  }
}

}  // namespace

PreferenceOptions PreferenceOptions::Of(const v1::Objective& rule) {
  return {.beta = rule.beta(),
          .label_smoothing = rule.label_smoothing(),
          .sft_mix = rule.sft_mix()};
}

void PreferenceSums::AddPair(const PolicyRow& chosen, const PolicyRow& rejected,
                             double beta) {
  const double chosen_reward = ImplicitReward(chosen, beta);
  const double rejected_reward = ImplicitReward(rejected, beta);
  sums_[kPairs] += 1;
  sums_[kRight] += chosen_reward > rejected_reward;
  sums_[kChosenReward] += chosen_reward;
  sums_[kRejectedReward] += rejected_reward;
  sums_[kChosenLogprob] += chosen.logprob;
  sums_[kRejectedLogprob] += rejected.logprob;
}

uint64_t PreferenceSums::pairs() const {
  return static_cast<uint64_t>(std::llround(sums_[kPairs]));
}

double PreferenceSums::Mean(Sum sum) const {
  return sums_[kPairs] > 0 ? sums_[sum] / sums_[kPairs] : 0;
}

PolicyLoss PreferenceLossOf(std::span<const PolicyRow> rows,
                            const PreferenceOptions& options,
                            PreferenceSums& sums) {
  PolicyLoss loss{.loss = 0, .gradients = std::vector<double>(rows.size())};
  const double chosen = CountOf(rows, Role::kChosen);
  const double pairs = chosen * CountOf(rows, Role::kRejected);
  if (pairs == 0) return loss;
  const double smoothing = options.label_smoothing;
  for (size_t c = 0; c < rows.size(); ++c) {
    if (rows[c].role != Role::kChosen) continue;
    for (size_t l = 0; l < rows.size(); ++l) {
      if (rows[l].role != Role::kRejected) continue;
      const double h = ImplicitReward(rows[c], options.beta) -
                       ImplicitReward(rows[l], options.beta);
      loss.loss +=
          ((1 - smoothing) * Softplus(-h) + smoothing * Softplus(h)) / pairs;
      const double slope =  // dL/dh
          (smoothing * Sigmoid(h) - (1 - smoothing) * Sigmoid(-h)) / pairs;
      loss.gradients[c] += options.beta * slope;
      loss.gradients[l] -= options.beta * slope;
      sums.AddPair(rows[c], rows[l], options.beta);
    }
  }
  if (options.sft_mix > 0) AddSft(rows, options.sft_mix / chosen, loss);
  return loss;
}

}  // namespace varalign::objective
