#include "model/training_flops.h"

#include "gtest/gtest.h"

namespace varalign::model {
namespace {

ModelConfig Shape(int64_t layers, int64_t hidden, int64_t intermediate,
                  int64_t heads, int64_t kv_heads, int64_t head_dim,
                  int64_t vocabulary) {
  return {.hidden_size = hidden,
          .intermediate_size = intermediate,
          .num_layers = layers,
          .num_heads = heads,
          .num_kv_heads = kv_heads,
          .head_dim = head_dim,
          .vocabulary_size = vocabulary};
}

const ModelConfig kLlama1B = Shape(16, 2048, 8192, 32, 8, 64, 128256);
const ModelConfig kLlama3B = Shape(28, 3072, 8192, 24, 8, 128, 128256);
const ModelConfig kLlama8B = Shape(32, 4096, 14336, 32, 8, 128, 128256);

double GigaFlops(const ModelConfig& config, double mean_context) {
  return TrainingFlopsPerToken(config, {.mean_context = mean_context}) / 1e9;
}

TEST(TrainingFlops, CountTheMatricesOfPublishedModels) {
  EXPECT_EQ(MatrixSizesOf(kLlama1B).body, 973'078'528);
  EXPECT_EQ(MatrixSizesOf(kLlama1B).head, 262'668'288);
  EXPECT_EQ(MatrixSizesOf(kLlama3B).body, 2'818'572'288);
  EXPECT_EQ(MatrixSizesOf(kLlama3B).head, 394'002'432);
  EXPECT_EQ(MatrixSizesOf(kLlama8B).body, 6'979'321'856);
  EXPECT_EQ(MatrixSizesOf(kLlama8B).head, 525'336'576);
}

TEST(TrainingFlops, OfATokenByTheContextItStandsIn) {
  EXPECT_NEAR(GigaFlops(kLlama1B, 512), 7.515, 5e-4);
  EXPECT_NEAR(GigaFlops(kLlama1B, 2048), 7.817, 5e-4);
  EXPECT_NEAR(GigaFlops(kLlama1B, 4096), 8.220, 5e-4);
  EXPECT_NEAR(GigaFlops(kLlama1B, 8192), 9.025, 5e-4);
  EXPECT_NEAR(GigaFlops(kLlama3B, 512), 19.54, 5e-3);
  EXPECT_NEAR(GigaFlops(kLlama3B, 2048), 20.33, 5e-3);
  EXPECT_NEAR(GigaFlops(kLlama3B, 4096), 21.39, 5e-3);
  EXPECT_NEAR(GigaFlops(kLlama3B, 8192), 23.50, 5e-3);
  EXPECT_NEAR(GigaFlops(kLlama8B, 512), 45.43, 5e-3);
  EXPECT_NEAR(GigaFlops(kLlama8B, 2048), 46.64, 5e-3);
  EXPECT_NEAR(GigaFlops(kLlama8B, 4096), 48.25, 5e-3);
  EXPECT_NEAR(GigaFlops(kLlama8B, 8192), 51.47, 5e-3);
}

TEST(TrainingFlops, AddTheSameForEveryTokenOfContext) {
  const auto of_attention = [](const ModelConfig& config) {
    return TrainingFlopsPerToken(config, {.mean_context = 1}) -
           TrainingFlopsPerToken(config, {.mean_context = 0});
  };
  EXPECT_EQ(of_attention(kLlama1B), 196'608);
  EXPECT_EQ(of_attention(kLlama3B), 516'096);
  EXPECT_EQ(of_attention(kLlama8B), 786'432);
}

TEST(TrainingFlops, LeaveOutTheHeadWhereItDidNotRun) {
  const double all = TrainingFlopsPerToken(kLlama1B, {.head_share = 1});
  const double half = TrainingFlopsPerToken(kLlama1B, {.head_share = 0.5});
  EXPECT_DOUBLE_EQ(all - half, 3 * 262'668'288.0);
  ModelConfig reward = kLlama1B;
  reward.head = Head::kReward;
  EXPECT_EQ(MatrixSizesOf(reward).head, 2048);
}

// 744 TFLOP/s at 14,451 tokens/s, Llama-3-8B at 8,192.
TEST(TrainingFlops, AgreeWithAPublishedRateOfArithmetic) {
  EXPECT_NEAR(GigaFlops(kLlama8B, 8192), 744e12 / 14451 / 1e9, 0.05);
}

// Rates that llmq publishes for Qwen2.5 on one H100, rows of 1,024 tokens.
TEST(ModelFlopsUtilisation, AgreesWithPublishedShares) {
  const auto percent = [](const ModelConfig& config, double rate) {
    const double flops = TrainingFlopsPerToken(config, {.mean_context = 1024});
    return 100 * ModelFlopsUtilisation(rate, flops, kHopperPeakFlops);
  };
  const ModelConfig half = Shape(24, 896, 4864, 14, 2, 64, 151936);
  const ModelConfig one_and_half = Shape(28, 1536, 8960, 12, 2, 128, 151936);
  const ModelConfig three = Shape(36, 2048, 11008, 16, 2, 128, 151936);
  const ModelConfig seven = Shape(28, 3584, 18944, 28, 4, 128, 152064);
  EXPECT_NEAR(percent(half, 149'500), 46.8, 0.05);
  EXPECT_NEAR(percent(one_and_half, 58'870), 56.7, 0.05);
  EXPECT_NEAR(percent(three, 30'900), 59.2, 0.05);
  EXPECT_NEAR(percent(seven, 13'850), 60.2, 0.05);
}

}  // namespace
}  // namespace varalign::model
