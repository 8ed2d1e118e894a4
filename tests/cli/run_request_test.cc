#include "cli/run_request.h"

#include "base/digest.h"
#include "base/exit_code.h"
#include "base/file.h"
#include "config/rules.h"
#include "data/manifest.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "objective/log_weights.h"
#include "tests/testing/status_matchers.h"
#include "tests/testing/temp_directory.h"

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

// A model directory, a data set that was made for it, and a configuration.
class CheckInputsTest : public ::testing::Test {
 protected:
  CheckInputsTest() {
    Put("policy", "policy's");
    Put("reward", "policy's");
    Put("stranger", "another one");
    WriteDataset(v1::DatasetManifest());
  }
  std::string Path(const std::string& name) const {
    return (directory_ / name).string();
  }
  void Put(const std::string& model, const std::string& tokenizer) const {
    EXPECT_OK(base::CreateDirectories(directory_ / model));
    EXPECT_OK(
        base::WriteFileAtomically(directory_ / model / "config.json", "{}"));
    EXPECT_OK(base::WriteFileAtomically(directory_ / model / "tokenizer.json",
                                        tokenizer));
  }
  void WriteDataset(v1::DatasetManifest manifest) const {
    manifest.mutable_policy_view()->set_tokenizer_sha256(
        base::Sha256("policy's"));
    EXPECT_OK(base::CreateDirectories(directory_ / "data"));
    EXPECT_OK(data::WriteManifest(directory_ / "data", manifest));
  }
  absl::Status Check(
      const std::string& reward,
      v1::Objective::Preset preset = v1::Objective::PRESET_VAR,
      v1::ScoringConfig::Mode mode = v1::ScoringConfig::MODE_AUTO) const {
    v1::RunConfig config = Config(preset, mode);
    config.mutable_model()->set_path(Path("policy"));
    config.mutable_data()->set_path(Path("data"));
    if (!reward.empty()) config.mutable_reward()->set_path(Path(reward));
    return CheckInputs(config);
  }

  const varalign::testing::TempDirectory directory_;
};

TEST_F(CheckInputsTest, RewardsThatNothingGivesAreRefused) {
  EXPECT_OK(Check("reward"));
  const absl::Status status = Check("");
  EXPECT_EQ(base::ExitCodeFor(status), base::kExitBadConfig);
  EXPECT_THAT(std::string(status.message()),
              ::testing::HasSubstr("reward.path"));
  EXPECT_OK(Check("", v1::Objective::PRESET_SFT));
}

// Ids of one tokenizer mean nothing to a model of another one.
TEST_F(CheckInputsTest, ARewardModelOfAnotherTokenizerNeedsAViewOfItsOwn) {
  const absl::Status status = Check("stranger");
  EXPECT_EQ(base::ExitCodeFor(status), base::kExitBadData) << status;
  EXPECT_THAT(std::string(status.message()),
              ::testing::HasSubstr("--reward " + Path("stranger")));
  EXPECT_OK(Check("stranger", v1::Objective::PRESET_SFT)) << "not used";

  v1::DatasetManifest both;
  both.mutable_reward_view()->set_tokenizer_sha256(base::Sha256("another one"));
  WriteDataset(both);
  EXPECT_OK(Check("stranger"));
  EXPECT_EQ(base::ExitCodeFor(Check("reward")), base::kExitBadData);
}

TEST_F(CheckInputsTest, AMissingDataSetIsToldOnce) {
  std::filesystem::remove(directory_ / "data" / data::kManifestFile);
  const std::string message(Check("reward").message());
  const size_t first = message.find("`varalign prepare`");
  ASSERT_NE(first, std::string::npos) << message;
  EXPECT_EQ(message.find("varalign prepare", first + 2), std::string::npos)
      << message;
}

TEST(LoadResolvedConfigTest, EveryValueHasAnOriginThePresetsToo) {
  const varalign::testing::TempDirectory directory;
  ASSERT_OK(base::WriteFileAtomically(
      directory / "run.yaml",
      "model: {path: m}\ndata: {path: d}\nobjective: {lambda: 2}\n"));
  ASSERT_OK_AND_ASSIGN(const config::LoadedConfig loaded,
                       LoadResolvedConfig(directory / "run.yaml", {}));
  EXPECT_EQ(loaded.origins.at("objective.alpha"), "preset");
  EXPECT_THAT(loaded.origins.at("objective.lambda"),
              ::testing::EndsWith("run.yaml:3:21"));
  EXPECT_EQ(loaded.origins.at("objective.preset"), "default");
  config::VisitValues(loaded.config, [&](const std::string& path,
                                         const google::protobuf::Message& part,
                                         const auto& field) {
    if (!part.GetReflection()->HasField(part, &field)) return;
    EXPECT_TRUE(loaded.origins.contains(path)) << path;
  });
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
