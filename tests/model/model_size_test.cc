#include "model/model_size.h"

#include <string>

#include "gtest/gtest.h"
#include "model/parameters.h"
#include "tests/model/golden_model.h"
#include "tests/testing/status_matchers.h"

namespace varalign::model {
namespace {

const ModelConfig k1B = {.hidden_size = 2048,
                         .intermediate_size = 8192,
                         .num_layers = 16,
                         .num_heads = 32,
                         .num_kv_heads = 8,
                         .head_dim = 64,
                         .vocabulary_size = 128256,
                         .tie_word_embeddings = true};

// Operations of a whole sequence per token, every token a target, by the
// yardstick 6 N + 6 L heads head_dim n, worked out by hand.
TEST(StepFlopsTest, AreThoseOfThePublishedYardstick) {
  const struct {
    double length, gflops;
  } kCases[] = {{512, 7.515}, {2048, 7.817}, {4096, 8.220}, {8192, 9.025}};
  for (const auto& [length, gflops] : kCases) {
    const PassWork work{
        .tokens = length, .targets = length, .pairs = length * length};
    EXPECT_NEAR(StepFlops(k1B, work, Recompute::kNothing, Trained::kModel, 0) /
                    length / 1e9,
                gflops, gflops * 7e-4);
  }
}

TEST(StepFlopsTest, RecomputeCostsWhatItsCommentsSay) {
  const PassWork work{.tokens = 512, .targets = 512, .pairs = 512 * 512};
  const auto flops = [&](Recompute recompute) {
    return StepFlops(k1B, work, recompute, Trained::kModel, 0);
  };
  const double plain = flops(Recompute::kNothing);
  EXPECT_EQ(flops(Recompute::kElementwise), plain);
  const double mlp = 2.0 * 16 * (3 * 2048 * 8192 + 2048) * 512;
  EXPECT_NEAR(flops(Recompute::kMlp) - plain, mlp, mlp * 1e-9);
  EXPECT_GT(flops(Recompute::kLayer), flops(Recompute::kMlp));
}

TEST(StepFlopsTest, FrozenBlocksAndRowsWithoutTargetsCostLess) {
  PassWork work{.tokens = 512, .targets = 512, .pairs = 512 * 512};
  const double all =
      StepFlops(k1B, work, Recompute::kNothing, Trained::kModel, 0);
  // Embedding and all layers frozen: the head's three passes, one of the rest.
  const double head = 6.0 * 2048 * 128256 * 512;
  EXPECT_NEAR(
      StepFlops(k1B, work, Recompute::kNothing, Trained::kModel, 17) - head,
      (all - head) / 3, all * 1e-9);
  work.targets = 256;
  EXPECT_LT(StepFlops(k1B, work, Recompute::kNothing, Trained::kModel, 0),
            all - head / 2);
}

class StoredSizeTest : public ::testing::TestWithParam<std::string> {};

TEST_P(StoredSizeTest, IsThatOfTheFlatBuffer) {
  ASSERT_OK_AND_ASSIGN(const Parameters parameters,
                       LoadModel(GoldenDirectory(GetParam()), at::kFloat));
  EXPECT_EQ(SizeOf(parameters.config).total, parameters.num_parameters);
}

INSTANTIATE_TEST_SUITE_P(Models, StoredSizeTest,
                         ::testing::ValuesIn(CausalGoldens()), GoldenTestName);

}  // namespace
}  // namespace varalign::model
