#include "objective/weight_statistics.h"

#include <map>
#include <random>
#include <string>
#include <utility>

#include "tests/objective/rules.h"

namespace varalign::objective {
namespace {

using ::testing::Contains;
using ::testing::Not;
using ::testing::Pair;
using v1::Objective;
using ::varalign::testing::StatusIs;

const Objective kRule = Rule(Objective::REF_LOGP_MEAN);

void Add(const std::vector<Score>& z_set, const Objective& rule,
         WeightStatistics& statistics, std::vector<base::Role> roles = {}) {
  ASSERT_OK(statistics.AddZSet(z_set, LogWeights(z_set, rule).value(), rule, {},
                               roles));
}

// The defined metrics, by the names of docs/method.md.
std::vector<std::pair<std::string, double>> NamedMetrics(
    const WeightMetrics& m) {
  const std::pair<const char*, std::optional<double>> kAll[] = {
      {"weight_ess_ratio", m.ess_ratio},
      {"weight_ess_norm", m.ess_norm},
      {"weight_max", m.max},
      {"weight_mean", m.mean},
      {"weight_small_share", m.small_share},
      {"weight_entropy", m.entropy},
      {"weight_kl", m.kl},
      {"weight_length_corr", m.length_corr},
      {"reward_length_corr", m.reward_length_corr},
      {"ref_share", m.ref_share},
      {"weight_clipped_share", m.clipped_share},
      {"log_z_mean", m.log_z_mean},
      {"log_z_sd", m.log_z_sd},
      {"trivial_z_rows", static_cast<double>(m.trivial_z_rows)},
      {"weight_chosen_mean", m.chosen_mean},
      {"weight_rejected_mean", m.rejected_mean},
      {"reward_mean", m.reward_mean},
      {"weighted_reward_mean", m.weighted_reward_mean},
      {"response_length", m.response_length},
  };
  std::vector<std::pair<std::string, double>> named;
  for (const auto& [name, value] : kAll) {
    if (value.has_value()) named.emplace_back(name, *value);
  }
  return named;
}

std::vector<std::vector<Score>> RandomZSets(size_t count) {
  std::mt19937_64 random(count);
  std::normal_distribution<double> normal;
  std::vector<std::vector<Score>> sets(count);
  for (auto& set : sets) {
    for (uint64_t k = 1 + random() % 6; k > 0; --k) {
      const auto n = static_cast<uint32_t>(1 + random() % 300);
      set.push_back({normal(random), -1.1 * n + normal(random), n});
    }
  }
  return sets;
}

TEST(WeightStatisticsTest, MeasuresOneZSet) {
  const std::vector<Score> z_set = {
      {1, -300, 200}, {2, -310, 155}, {0, -305, 244}};
  WeightStatistics statistics;
  Add(z_set, kRule, statistics,
      {base::Role::kChosen, base::Role::kRejected, base::Role::kUnknown});
  const WeightMetrics m = statistics.Metrics();
  EXPECT_EQ(m.rows, 3u);
  EXPECT_EQ(m.z_sets, 1u);
  EXPECT_EQ(m.trivial_z_rows, 0u);
  EXPECT_NEAR(*m.ess_ratio, 2.471497 / 3, 1e-6);
  EXPECT_NEAR(*m.ess_norm, 1.471497 / 2, 1e-6);
  EXPECT_NEAR(*m.max, 1.584756371, 1e-9);
  EXPECT_NEAR(*m.mean, 1, 1e-12);
  EXPECT_NEAR(*m.entropy + *m.kl, std::log(3), 1e-12);
  EXPECT_NEAR(*m.chosen_mean, 0.961203327, 1e-9);
  EXPECT_NEAR(*m.rejected_mean, 1.584756371, 1e-9);
  EXPECT_NEAR(*m.reward_mean, 1, 1e-12);
  EXPECT_NEAR(*m.weighted_reward_mean, (0.961203327 + 2 * 1.584756371) / 3,
              1e-9);
  EXPECT_NEAR(*m.response_length, 599.0 / 3, 1e-12);
  // l = (-1.5, -2, -1.25): variance 7/48 against 1 of the reward.
  EXPECT_NEAR(*m.ref_share, (7.0 / 48) / (7.0 / 48 + 1), 1e-12);
  EXPECT_LT(*m.length_corr, -0.9);
  EXPECT_LT(*m.reward_length_corr, -0.9);
  EXPECT_EQ(*m.small_share, 0);
  EXPECT_EQ(*m.clipped_share, 0);
  EXPECT_FALSE(m.log_z_sd.has_value());
}

TEST(WeightStatisticsTest, DoesNotDependOnTheNumberOfRanks) {
  const auto sets = RandomZSets(101);
  WeightStatistics one;
  for (const auto& set : sets) Add(set, kRule, one);
  const auto expected = NamedMetrics(one.Metrics());
  for (const size_t ranks : {2, 3, 8}) {
    std::vector<WeightStatistics> parts(ranks);
    for (size_t i = 0; i < sets.size(); ++i) {
      Add(sets[i], kRule, parts[i % ranks]);
    }
    WeightStatistics merged;
    for (const WeightStatistics& part : parts) merged.Merge(part);
    const auto metrics = NamedMetrics(merged.Metrics());
    ASSERT_EQ(metrics.size(), expected.size());
    for (size_t i = 0; i < metrics.size(); ++i) {
      EXPECT_EQ(metrics[i].first, expected[i].first);
      EXPECT_NEAR(metrics[i].second, expected[i].second,
                  1e-12 * std::max(1.0, std::abs(expected[i].second)))
          << metrics[i].first;
    }
  }
}

TEST(WeightStatisticsTest, SumsAddUpAsAFlatVector) {
  const auto sets = RandomZSets(20);
  WeightStatistics a, b, merged;
  for (const auto& set : sets) Add(set, kRule, set.size() > 2 ? a : b);
  merged.Merge(a);
  merged.Merge(b);
  for (size_t i = 0; i < WeightStatistics::kNumSums; ++i) {
    a.sums()[i] += b.sums()[i];
    EXPECT_EQ(a.sums()[i], merged.sums()[i]);
  }
}

TEST(WeightStatisticsTest, CountsTrivialRowsApart) {
  WeightStatistics statistics;
  Add({{1, -3, 3}}, kRule, statistics);
  Add({{1, -3, 3}, {0, -3, 3}}, kRule, statistics);
  const WeightMetrics m = statistics.Metrics();
  EXPECT_EQ(m.trivial_z_rows, 1u);
  // The set of one has no ess_norm, and does not lift the mean.
  EXPECT_LT(*m.ess_norm, 1);
}

TEST(WeightStatisticsTest, UndefinedMetricsAreLeftOut) {
  EXPECT_EQ(NamedMetrics(WeightStatistics().Metrics()).size(), 1u);
  WeightStatistics statistics;
  Add({{1, -3, 3}, {1, -3, 3}}, kRule, statistics);
  const auto metrics = NamedMetrics(statistics.Metrics());
  EXPECT_THAT(metrics, Not(Contains(Pair("weight_length_corr", ::testing::_))));
  EXPECT_THAT(metrics, Contains(Pair("weight_ess_ratio",
                                     ::testing::DoubleNear(1, 1e-12))));
}

TEST(WeightStatisticsTest, WeightsOfZeroDoNotUpsetTheSums) {
  WeightStatistics statistics;
  Add(Rewards({1, 2, 0, 2}), Preset(Objective::PRESET_RAFT), statistics);
  const WeightMetrics m = statistics.Metrics();
  EXPECT_NEAR(*m.ess_ratio, 0.5, 1e-12);
  EXPECT_EQ(*m.small_share, 0.5);
  EXPECT_NEAR(*m.kl, std::log(2), 1e-12);
  for (const auto& [name, value] : NamedMetrics(m)) {
    EXPECT_TRUE(std::isfinite(value)) << name;
  }
}

TEST(WeightStatisticsTest, RefusesWeightsOfAnotherSet) {
  WeightStatistics statistics;
  const auto weights = LogWeights(Rewards({1, 2}), kRule).value();
  EXPECT_THAT(statistics.AddZSet(Rewards({1, 2, 3}), weights, kRule),
              StatusIs(absl::StatusCode::kInvalidArgument));
}

}  // namespace
}  // namespace varalign::objective
