// Weights of real reward-model scores, against numbers made once with another
// program.
#include <zlib.h>

#include <filesystem>
#include <string>

#include "absl/strings/str_split.h"
#include "base/json.h"
#include "objective/weight_statistics.h"
#include "tests/objective/rules.h"
#include "tests/testing/test_data.h"

namespace varalign::objective {
namespace {

using v1::Objective;

std::string Unzip(const std::filesystem::path& path) {
  gzFile file = gzopen(path.c_str(), "rb");
  std::string text, part(1 << 20, '\0');
  int count = 0;
  while ((count = gzread(file, part.data(), 1 << 20)) > 0) {
    text.append(part, 0, static_cast<size_t>(count));
  }
  gzclose(file);
  return text;
}

void AppendRewards(const std::filesystem::path& path,
                   std::vector<Vector>& prompts) {
  for (const absl::string_view line :
       absl::StrSplit(Unzip(path), '\n', absl::SkipEmpty())) {
    ASSERT_OK_AND_ASSIGN(const base::Json row,
                         base::ParseJson({line.data(), line.size()}));
    prompts.push_back(row["rewards"].get<Vector>());
  }
}

struct Expected {
  size_t prompts, rows;
  double sd, ess_ratio, ess_norm, gain, kl;
};

void ExpectStatistics(const std::vector<Vector>& prompts,
                      const Expected& expected) {
  RewardSdEstimator estimator;
  for (const Vector& rewards : prompts) estimator.AddPrompt(rewards);
  ASSERT_OK_AND_ASSIGN(const double sd, estimator.Sd());
  EXPECT_NEAR(sd, expected.sd, 1e-6);

  const Objective rule = WithRawLambda(Preset(Objective::PRESET_BOLTZMANN), sd);
  WeightStatistics statistics;
  for (const Vector& rewards : prompts) {
    const std::vector<Score> scores = Rewards(rewards);
    ASSERT_OK_AND_ASSIGN(const ZSetWeights weights, LogWeights(scores, rule));
    ASSERT_OK(statistics.AddZSet(scores, weights, rule));
  }
  const WeightMetrics m = statistics.Metrics();
  EXPECT_EQ(m.z_sets, expected.prompts);
  EXPECT_EQ(m.rows, expected.rows);
  EXPECT_NEAR(*m.ess_ratio, expected.ess_ratio, 1e-6);
  EXPECT_NEAR(*m.ess_norm, expected.ess_norm, 1e-6);
  EXPECT_NEAR((*m.weighted_reward_mean - *m.reward_mean) / sd, expected.gain,
              1e-6);
  EXPECT_NEAR(*m.kl, expected.kl, 1e-6);
}

TEST(RealScoresTest, PairsOfHelpfulAndHarmlessTranscripts) {
  REQUIRE_TEST_DATA(harmless, "hh/harmless-base.scored.jsonl.gz");
  REQUIRE_TEST_DATA(helpful, "hh/helpful-base.scored.jsonl.gz");
  std::vector<Vector> prompts;
  AppendRewards(harmless, prompts);
  AppendRewards(helpful, prompts);
  ExpectStatistics(prompts, {.prompts = 4666,
                             .rows = 9332,
                             .sd = 0.542275,
                             .ess_ratio = 0.829618,
                             .ess_norm = 0.659237,
                             .gain = 0.343519,
                             .kl = 0.141636});
}

TEST(RealScoresTest, GroupsOfTwelveResponses) {
  REQUIRE_TEST_DATA(train, "alpaca_groups/train.jsonl.gz");
  std::vector<Vector> prompts;
  AppendRewards(train, prompts);
  ExpectStatistics(prompts, {.prompts = 600,
                             .rows = 7186,
                             .sd = 3.462957,
                             .ess_ratio = 0.470736,
                             .ess_norm = 0.422520,
                             .gain = 1.228801,
                             .kl = 0.619641});
}

}  // namespace
}  // namespace varalign::objective
