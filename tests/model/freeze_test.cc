#include "model/freeze.h"

#include <ATen/ATen.h>

#include "base/packed_layout.h"
#include "model/forward.h"
#include "model/freeze_patterns.h"
#include "tests/model/golden_model.h"
#include "tests/testing/status_matchers.h"

namespace varalign::model {
namespace {

using ::testing::HasSubstr;
using testing::StatusIs;

// By the patterns of OnlyTheOthersHaveGradientsAndTheyAreTheSame.
bool IsFrozen(const std::string& name) {
  const auto has = [&](const char* part) {
    return name.find(part) != name.npos;
  };
  const bool is_qkv = has(".q_proj.") || has(".k_proj.") || has(".v_proj.");
  return name == "model.embed_tokens.weight" || has("layers.1.mlp.") ||
         (has("layers.0.") && (has("norm") || is_qkv));
}

class FreezeTest : public ::testing::TestWithParam<std::string> {
 protected:
  void SetUp() override {
    auto loaded = LoadModel(GoldenDirectory(GetParam()), at::kDouble);
    ASSERT_OK(loaded);
    parameters_ = *std::move(loaded);
    auto golden = ReadGolden(GoldenDirectory(GetParam()));
    ASSERT_OK(golden);
    batch_ = PackGolden(golden->rows);
  }

  absl::Status Frozen(const std::vector<std::string>& patterns) {
    return Freeze(patterns, parameters_);
  }

  at::Tensor Gradients(Recompute recompute = Recompute::kNothing) {
    EnableGradients(parameters_);
    PlainLoss(Forward(parameters_, batch_.tokens,
                      base::PackedLayout::OfSequences(batch_.cu_seqlens),
                      batch_.loss_rows, recompute),
              parameters_.lm_head, batch_)
        .backward();
    return parameters_.gradients;
  }

  // The gradients under their names, from a buffer like `flat`.
  std::vector<NamedTensor> Named(const at::Tensor& gradients) {
    Parameters view = MakeParameters(parameters_.config, at::kDouble);
    view.flat.copy_(gradients);
    return HuggingFaceTensors(view);
  }

  Parameters parameters_;
  GoldenBatch batch_;
};

TEST_P(FreezeTest, OnlyTheOthersHaveGradientsAndTheyAreTheSame) {
  const at::Tensor all = Gradients().clone();
  ASSERT_OK(Frozen({"model.embed_tokens.*", "*.0.*norm*", "*.1.mlp.*",
                    "model.layers.0.self_attn.[qkv]_proj.*"}));
  const std::vector<NamedTensor> expected = Named(all);
  const std::vector<NamedTensor> actual = Named(Gradients());
  int frozen = 0;
  for (size_t i = 0; i < actual.size(); ++i) {
    const auto& [name, gradient] = actual[i];
    const at::Tensor& whole = expected[i].second;
    if (IsFrozen(name)) {
      ++frozen;
      EXPECT_EQ(gradient.abs().max().item<double>(), 0) << name;
    } else {
      EXPECT_LT((gradient - whole).norm().item<double>(),
                1e-12 * whole.norm().item<double>())
          << name;
    }
  }
  EXPECT_GE(frozen, 9);
}

// The first half layer then depends on nothing that is trained, though the
// second does.
TEST_P(FreezeTest, RecomputedPassesGiveTheSameBits) {
  ASSERT_OK(Frozen({"model.embed_tokens.*", "model.layers.0.self_attn.*",
                    "model.layers.0.input_layernorm.*"}));
  const at::Tensor kept = Gradients().clone();
  EXPECT_GT(kept.abs().max().item<double>(), 0);
  for (const Recompute recompute :
       {Recompute::kElementwise, Recompute::kMlp, Recompute::kLayer}) {
    EXPECT_TRUE(at::equal(Gradients(recompute), kept))
        << static_cast<int>(recompute);
  }
}

INSTANTIATE_TEST_SUITE_P(Models, FreezeTest,
                         ::testing::Values("llama-tied", "llama-bias", "qwen2",
                                           "qwen3"),
                         GoldenTestName);

using FreezeNamesTest = FreezeTest;
INSTANTIATE_TEST_SUITE_P(Models, FreezeNamesTest, ::testing::Values("qwen3"),
                         GoldenTestName);

TEST_P(FreezeNamesTest, FrozenMatricesDoNotDecay) {
  ASSERT_OK(Frozen({"*.mlp.*", "model.layers.0.*", "lm_head.weight"}));
  parameters_.flat.zero_();
  for (const auto& [begin, end] : parameters_.decayed) {
    parameters_.flat.narrow(0, begin, end - begin).fill_(1);
  }
  for (const auto& [name, tensor] : HuggingFaceTensors(parameters_)) {
    const bool frozen = name.find(".mlp.") != name.npos ||
                        name.find("layers.0.") != name.npos ||
                        name == "lm_head.weight";
    const double expected = !frozen && tensor.dim() > 1 ? 1 : 0;
    EXPECT_EQ(tensor.min().item<double>(), expected) << name;
    EXPECT_EQ(tensor.max().item<double>(), expected) << name;
  }
}

TEST_P(FreezeNamesTest, RefusesPatternsThatCannotBeMeant) {
  EXPECT_THAT(Frozen({"*.mlp.*", "*.q_projection.*"}),
              StatusIs(absl::StatusCode::kInvalidArgument,
                       HasSubstr("*.q_projection.*")));
  EXPECT_THAT(Frozen({"*.1.self_attn.q_proj.*"}),
              StatusIs(absl::StatusCode::kInvalidArgument,
                       HasSubstr("match only model.layers.1.self_attn.q_proj."
                                 "weight")));
  EXPECT_THAT(Frozen({"*"}), StatusIs(absl::StatusCode::kInvalidArgument,
                                      HasSubstr("nothing")));
  EXPECT_TRUE(parameters_.frozen.empty());
  EXPECT_OK(Frozen({}));
}

TEST_P(FreezeNamesTest, BlocksAreFrozenWholeFromTheEmbeddingOn) {
  const auto blocks = [&](const std::string& list) {
    return FrozenBlocks(parameters_.config, SplitPatterns(list));
  };
  EXPECT_EQ(blocks(""), 0);
  EXPECT_EQ(blocks("model.layers.0.*"), 0);
  EXPECT_EQ(blocks("model.embed_tokens.*"), 1);
  EXPECT_EQ(blocks("model.embed_tokens.*, model.layers.0.*"), 2);
  EXPECT_EQ(blocks("model.embed_tokens.*, model.layers.0.mlp.*"), 1);
  EXPECT_EQ(blocks("model.embed_tokens.*, *_proj.*, *layernorm*"), 1);
  EXPECT_EQ(blocks("model.embed_tokens.*, *_proj.*, *layernorm*, *_norm.*"),
            parameters_.config.num_layers + 1);
}

}  // namespace
}  // namespace varalign::model
