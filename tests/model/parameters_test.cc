#include "model/parameters.h"

#include <ATen/ATen.h>

#include <algorithm>

#include "tests/model/golden_model.h"
#include "tests/testing/status_matchers.h"

namespace varalign::model {
namespace {

using ::testing::HasSubstr;
using testing::StatusIs;

ModelConfig SmallConfig() {
  return {.hidden_size = 8,
          .intermediate_size = 12,
          .num_layers = 2,
          .num_heads = 4,
          .num_kv_heads = 2,
          .head_dim = 4,
          .vocabulary_size = 10,
          .max_positions = 32};
}

std::vector<NamedTensor> Copies(const Parameters& parameters) {
  std::vector<NamedTensor> copies;
  for (const auto& [name, tensor] : HuggingFaceTensors(parameters)) {
    copies.emplace_back(name, tensor.clone());
  }
  return copies;
}

NamedTensor& Find(std::vector<NamedTensor>& tensors, const std::string& name) {
  return *std::find_if(tensors.begin(), tensors.end(),
                       [&](const auto& entry) { return entry.first == name; });
}

TEST(ParametersTest, EveryTensorIsAViewOfOneBuffer) {
  Parameters parameters = MakeParameters(SmallConfig(), at::kFloat);
  EXPECT_EQ(parameters.flat.numel() % kFlatMultiple, 0);
  int64_t count = 0;
  for (const auto& [name, tensor] : HuggingFaceTensors(parameters)) {
    EXPECT_TRUE(tensor.is_alias_of(parameters.flat)) << name;
    EXPECT_TRUE(tensor.is_contiguous()) << name;
    count += tensor.numel();
  }
  EXPECT_EQ(count, parameters.num_parameters);
  EXPECT_LE(count, parameters.flat.numel());
  EXPECT_LT(parameters.flat.numel() - count, kFlatMultiple);
}

TEST(ParametersTest, MatricesDecayAndNormsDoNot) {
  Parameters parameters = MakeParameters(SmallConfig(), at::kFloat);
  for (const auto& [begin, end] : parameters.decayed) {
    parameters.flat.narrow(0, begin, end - begin).fill_(1);
  }
  for (const auto& [name, tensor] : HuggingFaceTensors(parameters)) {
    EXPECT_EQ(tensor.min().item<float>(), tensor.dim() > 1 ? 1 : 0) << name;
    EXPECT_EQ(tensor.max().item<float>(), tensor.dim() > 1 ? 1 : 0) << name;
  }
}

TEST(ParametersTest, LoadsWhatItNames) {
  Parameters source = MakeParameters(SmallConfig(), at::kFloat);
  InitializeRandomly(7, source);
  Parameters target = MakeParameters(SmallConfig(), at::kDouble);
  ASSERT_OK(LoadTensors(HuggingFaceTensors(source), target));
  EXPECT_TRUE(at::equal(source.flat, target.flat.to(at::kFloat)));
}

TEST(ParametersTest, QueriesKeysAndValuesAreRowsOfOneMatrix) {
  Parameters parameters = MakeParameters(SmallConfig(), at::kFloat);
  std::vector<NamedTensor> tensors = Copies(parameters);
  Find(tensors, "model.layers.1.self_attn.k_proj.weight").second.fill_(3);
  Find(tensors, "model.layers.1.mlp.up_proj.weight").second.fill_(5);
  ASSERT_OK(LoadTensors(tensors, parameters));
  const LayerParameters& layer = parameters.layers[1];
  EXPECT_EQ(layer.qkv.narrow(0, 16, 8).min().item<float>(), 3);
  EXPECT_EQ(layer.qkv.sum().item<float>(), 3 * 8 * 8);
  EXPECT_EQ(layer.gate_up.narrow(0, 12, 12).min().item<float>(), 5);
  EXPECT_EQ(layer.gate_up.sum().item<float>(), 5 * 12 * 8);
}

TEST(ParametersTest, RefusesMissingUnknownRepeatedAndMisshapenTensors) {
  Parameters parameters = MakeParameters(SmallConfig(), at::kFloat);
  const std::vector<NamedTensor> whole = Copies(parameters);
  std::vector<NamedTensor> tensors(whole.begin() + 1, whole.end());
  EXPECT_THAT(LoadTensors(tensors, parameters),
              StatusIs(absl::StatusCode::kInvalidArgument,
                       HasSubstr("model.embed_tokens.weight")));
  tensors = whole;
  tensors.emplace_back("model.layers.2.mlp.up_proj.weight",
                       whole.front().second);
  EXPECT_THAT(LoadTensors(tensors, parameters),
              StatusIs(absl::StatusCode::kInvalidArgument,
                       HasSubstr("model.layers.2.mlp.up_proj.weight")));
  tensors = whole;
  tensors.push_back(whole.front());
  EXPECT_THAT(LoadTensors(tensors, parameters),
              StatusIs(absl::StatusCode::kInvalidArgument));
  tensors = whole;
  tensors.front().second = at::zeros({11, 8});
  EXPECT_THAT(LoadTensors(tensors, parameters),
              StatusIs(absl::StatusCode::kInvalidArgument,
                       HasSubstr("[11, 8], expected [10, 8]")));
  tensors = whole;
  tensors.front().second = whole.front().second.to(at::kChar);
  EXPECT_THAT(LoadTensors(tensors, parameters),
              StatusIs(absl::StatusCode::kInvalidArgument,
                       HasSubstr("not floating point")));
}

TEST(ParametersTest, IgnoresKnownBuffersAndATiedHead) {
  ModelConfig config = SmallConfig();
  config.tie_word_embeddings = true;
  Parameters parameters = MakeParameters(config, at::kFloat);
  EXPECT_TRUE(parameters.lm_head.is_same(parameters.embedding));
  std::vector<NamedTensor> tensors = Copies(parameters);
  tensors.front().second.fill_(2);
  tensors.emplace_back("lm_head.weight", at::ones({10, 8}));
  tensors.emplace_back("model.layers.0.self_attn.rotary_emb.inv_freq",
                       at::ones({2}));
  ASSERT_OK(LoadTensors(tensors, parameters));
  EXPECT_EQ(parameters.embedding.max().item<float>(), 2);
}

TEST(ParametersTest, TiedModelMayStoreTheHeadAlone) {
  ModelConfig config = SmallConfig();
  config.tie_word_embeddings = true;
  Parameters parameters = MakeParameters(config, at::kFloat);
  std::vector<NamedTensor> tensors = Copies(parameters);
  tensors.front() = {"lm_head.weight", at::ones({10, 8})};
  ASSERT_OK(LoadTensors(tensors, parameters));
  EXPECT_EQ(parameters.embedding.min().item<float>(), 1);
}

TEST(ParametersTest, SameSeedGivesTheSameParameters) {
  Parameters a = MakeParameters(SmallConfig(), at::kFloat);
  Parameters b = MakeParameters(SmallConfig(), at::kFloat);
  Parameters c = MakeParameters(SmallConfig(), at::kFloat);
  InitializeRandomly(1, a);
  InitializeRandomly(1, b);
  InitializeRandomly(2, c);
  EXPECT_TRUE(at::equal(a.flat, b.flat));
  EXPECT_FALSE(at::equal(a.flat, c.flat));
  EXPECT_EQ(a.final_norm.min().item<float>(), 1);
  EXPECT_NEAR(a.layers[0].gate_up.std().item<float>(), 0.02, 0.004);
}

TEST(ParametersTest, GradientsAreViewsOfOneBuffer) {
  Parameters parameters = MakeParameters(SmallConfig(), at::kFloat);
  EnableGradients(parameters);
  for (int i = 0; i < 2; ++i) {
    (parameters.layers[0].down.sum() + 2 * parameters.final_norm.sum())
        .backward();
  }
  EXPECT_EQ(parameters.gradients.sum().item<float>(), 2 * (8 * 12 + 2 * 8));
  EXPECT_TRUE(
      parameters.layers[0].down.grad().is_alias_of(parameters.gradients));
  // An update of the flat buffer is seen by the leaves.
  parameters.flat.fill_(4);
  EXPECT_EQ(parameters.layers[1].qkv.min().item<float>(), 4);
}

TEST(ParametersTest, LoadsAGoldenModel) {
  ASSERT_OK_AND_ASSIGN(const Parameters parameters,
                       LoadModel(GoldenDirectory("llama-untied"), at::kFloat));
  EXPECT_GT(parameters.lm_head.std().item<float>(), 0.2);
}

}  // namespace
}  // namespace varalign::model
