// What the weights of a step look like: the metrics of docs/method.md, as sums
// that add up over Z-sets and ranks.
//
//   WeightStatistics statistics;
//   for (each Z-set that this rank answers for) statistics.AddZSet(...);
//   all-reduce statistics.sums() over the ranks;
//   WeightMetrics metrics = statistics.Metrics();
//
// Exactly one rank answers for a Z-set (the one that trains its first row) and
// adds it with *all* its rows. Then the metrics do not depend on the number of
// ranks, up to the rounding of float64 sums.
#ifndef VARALIGN_OBJECTIVE_WEIGHT_STATISTICS_H_
#define VARALIGN_OBJECTIVE_WEIGHT_STATISTICS_H_

#include <array>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>

#include "absl/status/status.h"
#include "base/role.h"
#include "objective/log_weights.h"
#include "varalign/v1/run_config.pb.h"

namespace varalign::objective {

// A value without a number is undefined: nothing was counted, or a spread that
// it divides by is 0.
struct WeightMetrics {
  uint64_t rows = 0;
  uint64_t z_sets = 0;
  uint64_t trivial_z_rows = 0;  // rows of Z-sets with one row
  // Means over Z-sets, S a Z-set of K rows, p = w / sum w.
  std::optional<double> ess_ratio;  // ESS / K
  std::optional<double> ess_norm;   // (ESS - 1) / (K - 1), sets with K >= 2
  std::optional<double> max;        // the largest weight of a set
  std::optional<double> entropy;    // - sum p log p
  std::optional<double> kl;         // sum p log(K p)
  std::optional<double> log_z_mean;
  std::optional<double> log_z_sd;
  std::optional<double> reward_mean;           // mean r
  std::optional<double> weighted_reward_mean;  // sum p r
  // Means over rows.
  std::optional<double> mean;           // w
  std::optional<double> small_share;    // w < 1e-3
  std::optional<double> clipped_share;  // bounded by weight_clip
  std::optional<double> response_length;
  std::optional<double> chosen_mean;  // w of the rows with this role
  std::optional<double> rejected_mean;
  // Pooled over sets with the means of each set removed.
  std::optional<double> length_corr;  // log w with the number of tokens
  std::optional<double> reward_length_corr;
  std::optional<double> ref_share;  // var(alpha l) of var(alpha l) + var(r')
};

// A value. Not thread safe.
class WeightStatistics {
 public:
  // One whole Z-set. `rule`, `group` and codes as for LogWeights, which made
  // `weights` of `z_set`. `roles` [K], or empty where none is known.
  absl::Status AddZSet(std::span<const Score> z_set, const ZSetWeights& weights,
                       const v1::Objective& rule,
                       std::span<const uint32_t> group = {},
                       std::span<const base::Role> roles = {});

  void Merge(const WeightStatistics& other);

  WeightMetrics Metrics() const;

  enum Sum : size_t {
    kRows,
    kZSets,
    kTrivialZRows,
    kLargerZSets,  // with two rows or more
    kEssRatio,
    kEssNorm,
    kMax,
    kEntropy,
    kKl,
    kLogZ,
    kLogZSquare,
    kReward,
    kWeightedReward,
    kWeight,
    kSmall,
    kClipped,
    kTokens,
    kChosen,
    kChosenWeight,
    kRejected,
    kRejectedWeight,
    // Products of deviations from the means of a set. The first three leave
    // out rows of weight 0.
    kLogWeightSquare,
    kLengthSquare,
    kLogWeightLength,
    kRewardSquare,
    kAllLengthSquare,
    kRewardLength,
    kReferenceTermSquare,
    kRewardTermSquare,
    kNumSums,
  };

  // To be added up over the ranks in place.
  std::span<double, kNumSums> sums() { return sums_; }
  std::span<const double, kNumSums> sums() const { return sums_; }

 private:
  void AddWeights(std::span<const Score> z_set, const ZSetWeights& weights);
  void AddRoles(const ZSetWeights& weights, std::span<const base::Role> roles);
  void AddSpreads(std::span<const Score> z_set, const ZSetWeights& weights);

  std::array<double, kNumSums> sums_{};
};

}  // namespace varalign::objective

#endif  // VARALIGN_OBJECTIVE_WEIGHT_STATISTICS_H_
