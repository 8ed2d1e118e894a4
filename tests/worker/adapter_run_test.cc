// Whole runs that train an adapter in place of the model.
#include <ATen/ATen.h>

#include <cmath>

#include "base/exit_code.h"
#include "base/file.h"
#include "checkpoint/adapter_directory.h"
#include "checkpoint/checkpoint.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "model/adapter.h"
#include "tests/testing/status_matchers.h"
#include "tests/testing/temp_directory.h"
#include "tests/testing/tensor_distance.h"
#include "tests/testing/test_data.h"
#include "tests/worker/tiny_run.h"
#include "worker/adapter_setup.h"
#include "worker/model_setup.h"

namespace varalign::worker {
namespace {

using ::testing::HasSubstr;
using ::varalign::testing::Distance;
using ::varalign::testing::StatusIs;

std::filesystem::path Model() {
  return testing::SourceDirectory() / "tests" / "golden" / "llama-untied";
}

v1::LoraConfig Lora(const std::string& modules = "all-linear") {
  v1::LoraConfig lora;
  lora.set_rank(4);
  lora.set_alpha(8);
  lora.set_target_modules(modules);
  return lora;
}

v1::RunConfig ConfigWith(const v1::LoraConfig& lora) {
  v1::RunConfig config;
  config.mutable_model()->set_path(Model().string());
  *config.mutable_train()->mutable_lora() = lora;
  return config;
}

class AdapterRunTest : public TinyRunTest {};

TEST_F(AdapterRunTest, LearnsWhileTheModelKeepsItsBits) {
  const TinyRunResult run =
      Run({.global_batch = 40, .learning_rate = 3e-2, .lora = Lora()});
  ASSERT_OK(run.status);
  EXPECT_LT(run.steps.back().loss(), run.steps.front().loss());
  ASSERT_OK_AND_ASSIGN(const model::Parameters start,
                       LoadParameters(Model(), at::kFloat));
  EXPECT_TRUE(at::equal(run.base, start.flat));
  EXPECT_LT(run.parameters.numel(), start.flat.numel());
}

// The first update starts where training of the whole model does.
TEST_F(AdapterRunTest, StartsAtTheLossOfTheModel) {
  const TinyRunResult with = Run({.max_steps = 1, .lora = Lora()});
  const TinyRunResult without = Run({.max_steps = 1});
  ASSERT_OK(with.status);
  ASSERT_OK(without.status);
  EXPECT_EQ(with.steps[0].loss(), without.steps[0].loss());
  EXPECT_NE(with.steps[0].grad_norm(), without.steps[0].grad_norm());
}

TEST_F(AdapterRunTest, SplitsAgree) {
  const TinyRunResult whole = Run({.dtype = at::kDouble,
                                   .prompt_sharing = base::PromptSharing::kOff,
                                   .lora = Lora()});
  ASSERT_OK(whole.status);
  for (const int world : {1, 2, 3}) {
    const TinyRunResult split = Run({.world_size = world,
                                     .micro_batch_tokens = 40,
                                     .dtype = at::kDouble,
                                     .lora = Lora()});
    ASSERT_OK(split.status);
    for (size_t i = 0; i < whole.steps.size(); ++i) {
      const double loss = whole.steps[i].loss();
      EXPECT_NEAR(split.steps[i].loss(), loss, 1e-11 * std::abs(loss));
    }
    EXPECT_LT(Distance(split.parameters, whole.parameters), 1e-9) << world;
  }
}

TEST_F(AdapterRunTest, AllWaysToRecomputeGiveTheSameBits) {
  const TinyRunResult expected = Run({.lora = Lora("q_proj, down_proj")});
  ASSERT_OK(expected.status);
  for (const model::Recompute recompute :
       {model::Recompute::kElementwise, model::Recompute::kMlp,
        model::Recompute::kLayer}) {
    const TinyRunResult run =
        Run({.recompute = recompute, .lora = Lora("q_proj, down_proj")});
    ASSERT_OK(run.status);
    EXPECT_TRUE(at::equal(run.parameters, expected.parameters));
  }
}

TEST_F(AdapterRunTest, AResumedRunHasTheBitsOfAnUninterruptedOne) {
  for (const int world : {1, 2}) {
    TinyRunOptions options{
        .world_size = world, .checkpoint_interval = 3, .lora = Lora()};
    const TinyRunResult whole = Run(options);
    ASSERT_OK(whole.status);
    options.stop_at = 4;
    EXPECT_THAT(Run(options).status, StatusIs(absl::StatusCode::kCancelled));
    options.stop_at = 0;
    options.resume_at = 4;
    const TinyRunResult rest = Run(options);
    ASSERT_OK(rest.status);
    EXPECT_TRUE(at::equal(rest.parameters, whole.parameters)) << world;
    EXPECT_TRUE(at::equal(rest.base, whole.base)) << world;
  }
}

TEST_F(AdapterRunTest, AnOptimizerShardCoversTheAdapterAlone) {
  const TinyRunResult run = Run({.world_size = 2, .lora = Lora()});
  ASSERT_OK(run.status);
  const std::filesystem::path newest =
      directory_ / "checkpoints" / checkpoint::CheckpointName(10);
  const checkpoint::Range all(0, run.parameters.numel());
  const checkpoint::Range beyond(0, all.second + 1);
  ASSERT_OK_AND_ASSIGN(const checkpoint::OptimizerState saved,
                       checkpoint::ReadOptimizerState(newest, {&all, 1}));
  EXPECT_TRUE(at::equal(saved.slices[0].master, run.parameters));
  EXPECT_FALSE(checkpoint::ReadOptimizerState(newest, {&beyond, 1}).ok());
}

TEST_F(AdapterRunTest, GoesOnFromAnAdapterOfPeft) {
  const std::filesystem::path peft =
      testing::SourceDirectory() / "tests/golden/lora/llama-untied";
  v1::LoraConfig lora = Lora();
  lora.set_adapter(peft.string());
  const TinyRunResult from =
      Run({.max_steps = 1, .learning_rate = 1e-30, .lora = lora});
  ASSERT_OK(from.status);
  ASSERT_OK_AND_ASSIGN(const checkpoint::Adapter adapter,
                       checkpoint::Adapter::Open(peft));
  ASSERT_OK_AND_ASSIGN(model::Parameters expected,
                       LoadParameters(Model(), at::kFloat));
  ASSERT_OK(model::AddAdapter(
      {.rank = 4, .alpha = 8, .modules = adapter.config().modules}, 0,
      expected));
  ASSERT_OK(model::LoadAdapter(adapter.tensors(), expected));
  EXPECT_TRUE(at::equal(from.parameters, expected.flat));
}

TEST(AdapterSetupTest, NoRankMeansNoAdapterAndNoAlphaTheRank) {
  ASSERT_OK_AND_ASSIGN(const auto none, AdapterOf(ConfigWith({})));
  EXPECT_FALSE(none.has_value());
  v1::LoraConfig lora = Lora("v_proj, q_proj");
  lora.set_alpha(0);
  ASSERT_OK_AND_ASSIGN(const auto adapter, AdapterOf(ConfigWith(lora)));
  ASSERT_TRUE(adapter.has_value());
  EXPECT_EQ(adapter->alpha, 4);
  EXPECT_THAT(adapter->modules, ::testing::ElementsAre("q_proj", "v_proj"));
  EXPECT_EQ(adapter->base_model, Model().string());
}

TEST(AdapterSetupTest, AnAdapterOfAnotherShapeIsABadConfiguration) {
  const std::string peft =
      (testing::SourceDirectory() / "tests/golden/lora/llama-untied").string();
  v1::LoraConfig rank = Lora(), alpha = Lora(), modules = Lora("q_proj");
  rank.set_rank(8);
  alpha.set_alpha(16);
  const std::vector<std::pair<v1::LoraConfig, std::string>> cases = {
      {rank,
       "train.lora.rank is not that of the adapter to go on from, set it "
       "to 4: 8"},
      {alpha,
       "train.lora.alpha is not that of the adapter to go on from, set "
       "it to 8: 16"},
      {modules, "train.lora.target_modules is not that"}};
  for (auto [lora, message] : cases) {
    lora.set_adapter(peft);
    const v1::RunConfig config = ConfigWith(lora);
    ASSERT_OK_AND_ASSIGN(const auto adapter, AdapterOf(config));
    ASSERT_OK_AND_ASSIGN(model::Parameters parameters,
                         LoadParameters(Model(), at::kFloat));
    ASSERT_OK(AddNewAdapter(*adapter, config.train(), parameters));
    const absl::Status status =
        LoadStartAdapter(*adapter, config.train(), parameters);
    EXPECT_THAT(status, StatusIs(absl::StatusCode::kInvalidArgument,
                                 HasSubstr(message)));
    EXPECT_EQ(base::ExitCodeFor(status), base::kExitBadConfig);
  }
}

TEST(AdapterSetupTest, AResumedRunNeedsTheModelOfItsAdapter) {
  const testing::TempDirectory directory;
  // What OpenCheckpoint compares, without a coordinator's manifest around it.
  v1::TrainState state;
  state.set_format_version(1);
  state.set_base_xxh3_128("1f0c");
  const std::filesystem::path staging =
      checkpoint::StagingDirectory(directory.path(), 0, 1);
  ASSERT_OK(base::CreateDirectories(staging));
  ASSERT_OK_AND_ASSIGN(const checkpoint::ModelFile file,
                       checkpoint::WriteTrainState(staging, state));
  v1::CheckpointManifest manifest;
  manifest.set_format_version(1);
  manifest.set_generation(1);
  v1::CheckpointFile& entry = *manifest.add_files();
  entry.set_name(file.name);
  entry.set_num_bytes(file.num_bytes);
  entry.set_xxh3_128(file.xxh3_128);
  ASSERT_OK_AND_ASSIGN(const auto committed,
                       checkpoint::CommitStaged(directory.path(), manifest));
  ASSERT_OK(OpenCheckpoint(committed, state));
  v1::TrainState other = state;
  other.set_base_xxh3_128("77b1");
  const absl::Status refused = OpenCheckpoint(committed, other).status();
  EXPECT_THAT(refused, StatusIs(absl::StatusCode::kFailedPrecondition,
                                HasSubstr("not the model that the adapter")));
  EXPECT_EQ(base::ExitCodeFor(refused), base::kExitBadData);
}

}  // namespace
}  // namespace varalign::worker
