#include "cli/run_request.h"

#include "gtest/gtest.h"
#include "objective/log_weights.h"

namespace varalign::cli {
namespace {

v1::RunConfig Config(v1::Objective::Preset preset,
                     v1::ScoringConfig::Mode mode) {
  v1::RunConfig config;
  v1::Objective objective;
  objective.set_kind(v1::Objective::KIND_VAR);
  objective.set_preset(preset);
  const auto resolved = objective::ResolveObjective(objective);
  EXPECT_TRUE(resolved.ok()) << resolved.status();
  *config.mutable_objective() = *resolved;
  config.mutable_scoring()->set_mode(mode);
  return config;
}

v1::DatasetManifest Columns(bool rewards, bool logprobs) {
  v1::DatasetManifest manifest;
  manifest.set_has_rewards(rewards);
  manifest.set_has_logprobs(logprobs);
  return manifest;
}

TEST(NeedsRewardServerTest, OnlyWhereAScoreIsMissingThatTheObjectiveUses) {
  using O = v1::Objective;
  using S = v1::ScoringConfig;
  const struct {
    const char* situation;
    O::Preset preset;
    S::Mode mode;
    v1::DatasetManifest columns;
    bool needed;
  } kCases[] = {
      {"sft uses no score", O::PRESET_SFT, S::MODE_AUTO, Columns(false, false),
       false},
      {"nothing is there", O::PRESET_VAR, S::MODE_AUTO, Columns(false, false),
       true},
      {"log-probabilities are missing", O::PRESET_VAR, S::MODE_AUTO,
       Columns(true, false), true},
      {"all columns are there", O::PRESET_VAR, S::MODE_AUTO,
       Columns(true, true), false},
      {"boltzmann needs rewards only", O::PRESET_BOLTZMANN, S::MODE_AUTO,
       Columns(true, false), false},
      {"columns means no server", O::PRESET_VAR, S::MODE_COLUMNS,
       Columns(true, true), false},
      {"asked to score all the same", O::PRESET_VAR, S::MODE_BEFORE,
       Columns(true, true), true},
  };
  for (const auto& c : kCases) {
    EXPECT_EQ(NeedsRewardServer(Config(c.preset, c.mode), c.columns), c.needed)
        << c.situation;
  }
}

TEST(NewRequestIdTest, IsNewEachTime) {
  const auto a = NewRequestId(), b = NewRequestId();
  ASSERT_TRUE(a.ok() && b.ok());
  EXPECT_EQ(a->size(), 32u);
  EXPECT_NE(*a, *b);
}

TEST(LoadResolvedConfigTest, AMissingFileIsNotFound) {
  EXPECT_EQ(LoadResolvedConfig("/nonexistent/run.yaml", {}).status().code(),
            absl::StatusCode::kNotFound);
}

}  // namespace
}  // namespace varalign::cli
