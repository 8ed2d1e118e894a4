#include "model/block_watcher.h"

#include <ATen/ATen.h>
#include <c10/core/GradMode.h>

#include <map>
#include <numeric>
#include <string>
#include <utility>
#include <vector>

#include "base/packed_layout.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "model/adapter.h"
#include "model/forward.h"
#include "model/freeze.h"
#include "tests/model/golden_model.h"
#include "tests/testing/status_matchers.h"

namespace varalign::model {
namespace {

using ::testing::ElementsAreArray;
using ::testing::IsEmpty;

// Writes down what it is told, and the gradients of a block at that moment.
class Diary final : public BlockWatcher {
 public:
  explicit Diary(const Parameters& parameters)
      : gradients_(parameters.gradients), blocks_(BlocksOf(parameters)) {}

  std::vector<size_t> forward, backward;

  void BeforeForward(size_t block) override { forward.push_back(block); }
  void AfterBackward(size_t block) override {
    backward.push_back(block);
    seen_[block] = Gradient(block).clone();
  }

  // Nothing was added to a block after it had been reported.
  void ExpectReportedWereComplete() const {
    for (const auto& [block, gradient] : seen_) {
      EXPECT_TRUE(at::equal(gradient, Gradient(block))) << blocks_[block].name;
    }
  }

 private:
  at::Tensor Gradient(size_t block) const {
    const ParameterBlock& range = blocks_[block];
    return gradients_.narrow(0, range.begin, range.end - range.begin);
  }

  const at::Tensor gradients_;
  const std::vector<ParameterBlock> blocks_;
  std::map<size_t, at::Tensor> seen_;
};

class BlockWatcherTest : public ::testing::TestWithParam<std::string> {
 protected:
  Parameters Load() {
    return LoadModel(GoldenDirectory(GetParam()), at::kFloat).value();
  }
  static GoldenBatch Batch() {
    return PackGolden(ReadGolden(GoldenDirectory(GetParam()))->rows);
  }

  static at::Tensor Pass(const Parameters& parameters, Recompute recompute) {
    const GoldenBatch batch = Batch();
    const at::Tensor hidden =
        Forward(parameters, batch.tokens,
                base::PackedLayout::OfSequences(batch.cu_seqlens),
                batch.loss_rows, recompute);
    return PlainLoss(hidden, parameters.lm_head, batch);
  }
};

TEST_P(BlockWatcherTest, BlocksTileTheParameters) {
  const Parameters parameters = Load();
  const std::vector<ParameterBlock> blocks = BlocksOf(parameters);
  ASSERT_EQ(blocks.size(), parameters.layers.size() + 2);
  int64_t at = 0;
  for (const ParameterBlock& block : blocks) {
    EXPECT_EQ(block.begin, at) << block.name;
    at = block.end;
  }
  EXPECT_EQ(at, parameters.flat.numel());
  EXPECT_TRUE(blocks.front().is_table);
  EXPECT_EQ(blocks.back().is_table, !parameters.config.tie_word_embeddings);
}

// Whatever is run again in the backward pass.
TEST_P(BlockWatcherTest, EveryBlockIsReportedOnceWhenItIsComplete) {
  for (const Recompute recompute :
       {Recompute::kNothing, Recompute::kElementwise, Recompute::kMlp,
        Recompute::kLayer}) {
    Parameters parameters = Load();
    EnableGradients(parameters);
    Diary diary(parameters);
    parameters.watcher = &diary;
    const at::Tensor loss = Pass(parameters, recompute);
    std::vector<size_t> ascending(parameters.layers.size() + 2);
    std::iota(ascending.begin(), ascending.end(), size_t{0});
    EXPECT_THAT(diary.forward, ElementsAreArray(ascending));
    EXPECT_THAT(diary.backward, IsEmpty());

    loss.backward();
    // All but the embedding.
    const std::vector<size_t> descending(ascending.rbegin(),
                                         ascending.rend() - 1);
    EXPECT_THAT(diary.backward, ElementsAreArray(descending));
    EXPECT_THAT(diary.forward, ElementsAreArray(ascending));
    diary.ExpectReportedWereComplete();
  }
}

// A block whose input needs no gradient is left to the end of the pass.
TEST_P(BlockWatcherTest, FrozenParametersChangeWhoIsReported) {
  const struct {
    std::vector<std::string> frozen;
    size_t last;  // to be reported
  } kCases[] = {
      {{"model.embed_tokens.*"}, 2},
      {{"model.embed_tokens.*", "model.layers.0.*"}, 3},
      {{"model.norm.*", "model.layers.1.*"}, 1},
      {{"*norm*"}, 1},
      {{"*.mlp.*"}, 1},
  };
  for (const auto& [frozen, last] : kCases) {
    for (const Recompute recompute : {Recompute::kNothing, Recompute::kLayer}) {
      Parameters parameters = Load();
      ASSERT_EQ(parameters.layers.size(), 2u);
      ASSERT_OK(Freeze(frozen, parameters));
      EnableGradients(parameters);
      Diary diary(parameters);
      parameters.watcher = &diary;
      Pass(parameters, recompute).backward();
      std::vector<size_t> reported;
      for (size_t block = 3; block >= last; --block) reported.push_back(block);
      EXPECT_THAT(diary.backward, ElementsAreArray(reported)) << frozen[0];
      diary.ExpectReportedWereComplete();
    }
  }
}

// The blocks of a model with an adapter are those of the adapter.
TEST_P(BlockWatcherTest, AnAdapterIsReportedLayerByLayer) {
  for (const std::vector<std::string>& modules :
       {std::vector<std::string>{"q_proj"},
        {"v_proj", "o_proj"},
        {"up_proj"}}) {
    for (const Recompute recompute : {Recompute::kNothing, Recompute::kLayer}) {
      Parameters parameters = Load();
      ASSERT_OK(AddAdapter({.rank = 2, .alpha = 2, .modules = modules}, 7,
                           parameters));
      parameters.flat.fill_(0.01);  // B too
      const std::vector<ParameterBlock> blocks = BlocksOf(parameters);
      const size_t layers = parameters.layers.size();
      ASSERT_EQ(blocks.size(), layers + 2);
      EXPECT_EQ(blocks.front().end, 0);
      EXPECT_EQ(blocks.back().begin, parameters.num_parameters);
      EXPECT_EQ(blocks.back().end, parameters.flat.numel());
      for (size_t i = 1; i <= layers; ++i) {
        EXPECT_EQ(blocks[i].begin, blocks[i - 1].end);
        EXPECT_EQ(
            (blocks[i].end - blocks[i].begin) * static_cast<int64_t>(layers),
            parameters.num_parameters);
      }
      EnableGradients(parameters);
      Diary diary(parameters);
      parameters.watcher = &diary;
      Pass(parameters, recompute).backward();
      // The input of the first layer needs no gradient.
      std::vector<size_t> reported;
      for (size_t block = layers + 1; block > 1; --block) {
        reported.push_back(block);
      }
      EXPECT_THAT(diary.backward, ElementsAreArray(reported)) << modules[0];
      diary.ExpectReportedWereComplete();
      EXPECT_GT(parameters.gradients.abs().sum().item<double>(), 0);
    }
  }
}

TEST_P(BlockWatcherTest, APassWithoutGradientsIsReportedForwardAlone) {
  Parameters parameters = Load();
  EnableGradients(parameters);
  Diary diary(parameters);
  parameters.watcher = &diary;
  const c10::NoGradGuard no_grad;
  Pass(parameters, Recompute::kNothing);
  EXPECT_EQ(diary.forward.size(), parameters.layers.size() + 2);
  EXPECT_THAT(diary.backward, IsEmpty());
}

INSTANTIATE_TEST_SUITE_P(Models, BlockWatcherTest,
                         ::testing::ValuesIn(CausalGoldens()), GoldenTestName);

}  // namespace
}  // namespace varalign::model
