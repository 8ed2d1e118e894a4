#include "cli/estimate/run_estimate.h"

#include "gmock/gmock.h"
#include "model/model_size.h"
#include "tests/testing/status_matchers.h"

namespace varalign::cli {
namespace {

using ::testing::Contains;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::Not;

// Examples of one prompt of 60 tokens and two responses of 40 and 20.
class RunEstimateTest : public ::testing::Test {
 protected:
  RunEstimateTest() {
    train().set_global_batch(5);
    train().set_epochs(3);
    train().set_micro_batch_tokens(256);
    train().set_prompt_sharing(true);
    inputs_.config.mutable_collective()->set_bucket_size(1 << 20);
    inputs_.model = {.hidden_size = 512,
                     .intermediate_size = 1376,
                     .num_layers = 8,
                     .num_heads = 8,
                     .num_kv_heads = 4,
                     .head_dim = 64,
                     .vocabulary_size = 512};
    inputs_.memory_bytes = 1e12;
    SetExamples(10);
  }

  v1::TrainConfig& train() { return *inputs_.config.mutable_train(); }

  static data::Plan PlanOf(uint64_t examples, uint64_t batch, uint64_t epochs) {
    return data::Plan::Create({.num_examples = examples,
                               .batch_examples = batch,
                               .epochs = epochs})
        .value();
  }
  void SetExamples(size_t count) {
    examples_.assign(count, {.prompt = 60, .responses = {40, 20}});
    inputs_.examples = examples_;
    inputs_.plan = PlanOf(count, train().global_batch(), train().epochs());
  }

  // One step of 400 examples in micro-batches of 16,384 tokens.
  void SetLargeBatch() {
    train().set_micro_batch_tokens(1 << 14);
    train().set_global_batch(400);
    SetExamples(400);
  }

  RunEstimate Get() { return Estimate(inputs_); }

  std::vector<data::BlockLengths> examples_;
  EstimateInputs inputs_{.config = {},
                         .model = {},
                         .plan = PlanOf(1, 1, 1),
                         .examples = {},
                         .adapter_modules = {}};
};

TEST_F(RunEstimateTest, CountsTheRowsAsTrainingDoes) {
  const Workload work = Get().workload;
  EXPECT_EQ(work.steps, 6u);
  EXPECT_DOUBLE_EQ(work.tokens_per_step, 5 * (99 + 79));
  EXPECT_DOUBLE_EQ(work.computed_per_step, 5 * (60 + 39 + 19));
  EXPECT_DOUBLE_EQ(work.targets_per_step, 5 * 60);
  EXPECT_DOUBLE_EQ(work.pairs_per_step, 5 * (99 * 99 + 79 * 79 - 60 * 60));
  EXPECT_DOUBLE_EQ(work.padding_if_padded, 1 - 178.0 / 198);
  // Two blocks of 118 fit into a micro-batch.
  ASSERT_EQ(work.largest.size(), 1u);
  EXPECT_EQ(work.largest[0].tokens, 236u);
  EXPECT_EQ(work.largest[0].targets, 120u);
}

TEST_F(RunEstimateTest, WithoutSharingEveryRowHasItsPrompt) {
  train().set_prompt_sharing(false);
  const Workload work = Get().workload;
  EXPECT_DOUBLE_EQ(work.computed_per_step, work.tokens_per_step);
  ASSERT_EQ(work.largest.size(), 1u);
  EXPECT_EQ(work.largest[0].tokens, 99u + 79);
}

TEST_F(RunEstimateTest, TimeFollowsTheGivenRate) {
  EXPECT_EQ(Get().seconds, 0);
  inputs_.gemm_flops = 1e11;
  const double one = Get().seconds;
  EXPECT_NEAR(one, 6 * Get().flops_per_step / (0.75 * 1e11), one * 1e-9);
  inputs_.world_size = 2;
  EXPECT_NEAR(Get().seconds, one / 2, one * 1e-9);
}

TEST_F(RunEstimateTest, RanksShareTheMomentsOnly) {
  const RankMemory one = Get().memory;
  inputs_.world_size = 4;
  const RankMemory four = Get().memory;
  EXPECT_DOUBLE_EQ(four.parameters, one.parameters);
  EXPECT_DOUBLE_EQ(four.gradients, one.gradients);
  EXPECT_DOUBLE_EQ(four.optimizer, one.optimizer / 4);
  EXPECT_EQ(one.communication, 0);
  EXPECT_GT(four.communication, one.parameters / 4);
}

TEST_F(RunEstimateTest, RecomputeAndFrozenBlocksKeepLess) {
  SetLargeBatch();
  double last = Get().memory.activations;
  for (const auto recompute :
       {v1::TrainConfig::ACTIVATION_RECOMPUTE_ELEMENTWISE,
        v1::TrainConfig::ACTIVATION_RECOMPUTE_MLP,
        v1::TrainConfig::ACTIVATION_RECOMPUTE_FULL}) {
    train().set_activation_recompute(recompute);
    EXPECT_LT(Get().memory.activations, last);
    last = Get().memory.activations;
  }
  train().set_activation_recompute(v1::TrainConfig::ACTIVATION_RECOMPUTE_NONE);
  const RunEstimate all = Get();
  inputs_.frozen_blocks = 5;  // the embedding and half of the layers
  EXPECT_LT(Get().memory.activations, 0.8 * all.memory.activations);
  EXPECT_LT(Get().flops_per_step, 0.75 * all.flops_per_step);
  EXPECT_EQ(Get().memory.optimizer, all.memory.optimizer);
}

TEST_F(RunEstimateTest, ARunThatDoesNotFitSaysWhatHelps) {
  SetLargeBatch();
  const double needed = Get().memory.needed();
  inputs_.memory_bytes = needed * 0.999;
  RunEstimate estimate = Get();
  EXPECT_FALSE(estimate.fits);
  EXPECT_THAT(estimate.remedies, Contains("train.micro_batch_tokens: 8192"));
  EXPECT_THAT(estimate.remedies,
              Contains("train.activation_recompute: elementwise"));
  EXPECT_THAT(estimate.remedies, Contains(HasSubstr("2 workers")));
  inputs_.memory_bytes = 1 << 20;
  EXPECT_THAT(Get().remedies, Contains(HasSubstr("a smaller model")));
  inputs_.memory_bytes = needed;
  EXPECT_TRUE(Get().fits);
  EXPECT_THAT(Get().remedies, IsEmpty());
}

TEST_F(RunEstimateTest, MappedDataIsOfThePeakButNotNeeded) {
  inputs_.data_bytes = 1e9;
  const RankMemory memory = Get().memory;
  EXPECT_DOUBLE_EQ(memory.total() - memory.needed(), 1e9);
}

TEST_F(RunEstimateTest, WarnsOfFewTokensWhereWorkersShareThem) {
  EXPECT_THAT(Get().warnings, IsEmpty());
  inputs_.world_size = 2;
  EXPECT_THAT(Get().warnings, Contains(HasSubstr("295 tokens per worker")));
}

TEST_F(RunEstimateTest, JsonHasTheContractsKeys) {
  const base::Json untimed = EstimateJson(Get());
  EXPECT_TRUE(untimed["eta_seconds"].is_null());
  inputs_.gemm_flops = 1e11;
  const base::Json json = EstimateJson(Get());
  for (const char* key : {"version", "fits", "memory", "steps",
                          "tokens_per_step", "padding_share", "eta_seconds"}) {
    EXPECT_TRUE(json.contains(key)) << key;
  }
  EXPECT_THAT(EstimateText(Get()), HasSubstr("activations"));
  EXPECT_THAT(EstimateText(Get()), Not(HasSubstr("nan")));
}

// 8 layers of q_proj [512, 512] and down_proj [512, 1376] with rank 4.
TEST_F(RunEstimateTest, AdapterHasTheGradientsInPlaceOfTheModel) {
  const RunEstimate whole = Get();
  train().mutable_lora()->set_rank(4);
  inputs_.adapter_modules = {"q_proj", "down_proj"};
  const RunEstimate adapter = Get();
  constexpr double kElements = 8 * 4 * (512 + 512 + 512 + 1376);
  EXPECT_EQ(adapter.memory.gradients, 4 * kElements);
  EXPECT_EQ(adapter.memory.optimizer, 8 * kElements);
  EXPECT_EQ(adapter.memory.parameters, whole.memory.parameters + 4 * kElements);
  EXPECT_LT(adapter.flops_per_step, 0.75 * whole.flops_per_step);
}

TEST_F(RunEstimateTest, Bfloat16HasAMaster) {
  const RunEstimate whole = Get();
  train().set_precision(v1::TrainConfig::PRECISION_BF16);
  const RunEstimate rounded = Get();
  EXPECT_EQ(rounded.memory.parameters, whole.memory.parameters / 2);
  EXPECT_EQ(rounded.memory.gradients, whole.memory.gradients);
  EXPECT_EQ(rounded.memory.optimizer, whole.memory.optimizer * 3 / 2);
}

}  // namespace
}  // namespace varalign::cli
