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

// With every part that some family has.
ModelConfig FullConfig() {
  ModelConfig config = SmallConfig();
  config.qkv_bias = config.output_bias = config.qk_norm = true;
  return config;
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
  Parameters parameters = MakeParameters(FullConfig(), at::kFloat);
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

TEST(ParametersTest, MatricesDecayNormsAndBiasesDoNot) {
  Parameters parameters = MakeParameters(FullConfig(), at::kFloat);
  for (const auto& [begin, end] : parameters.decayed) {
    parameters.flat.narrow(0, begin, end - begin).fill_(1);
  }
  for (const auto& [name, tensor] : HuggingFaceTensors(parameters)) {
    EXPECT_EQ(tensor.min().item<float>(), tensor.dim() > 1 ? 1 : 0) << name;
    EXPECT_EQ(tensor.max().item<float>(), tensor.dim() > 1 ? 1 : 0) << name;
  }
}

TEST(ParametersTest, LoadsWhatItNames) {
  Parameters source = MakeParameters(FullConfig(), at::kFloat);
  InitializeRandomly(7, source);
  source.layers[1].qkv.bias.copy_(at::arange(32));
  Parameters target = MakeParameters(FullConfig(), at::kDouble);
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
  EXPECT_EQ(layer.qkv.weight.narrow(0, 16, 8).min().item<float>(), 3);
  EXPECT_EQ(layer.qkv.weight.sum().item<float>(), 3 * 8 * 8);
  EXPECT_EQ(layer.gate_up.weight.narrow(0, 12, 12).min().item<float>(), 5);
  EXPECT_EQ(layer.gate_up.weight.sum().item<float>(), 5 * 12 * 8);
}

TEST(ParametersTest, ALayersTensorsFollowOneAnotherInTheBuffer) {
  const Parameters parameters = MakeParameters(FullConfig(), at::kFloat);
  int64_t end = parameters.embedding.numel();
  for (const LayerParameters& layer : parameters.layers) {
    for (const at::Tensor& tensor : TensorsOf(layer)) {
      EXPECT_EQ(tensor.storage_offset(), end);
      end += tensor.numel();
    }
  }
  EXPECT_EQ(parameters.final_norm.storage_offset(), end);
}

TEST(ParametersTest, BiasesAreSlicesInTheOrderOfTheirRows) {
  Parameters parameters = MakeParameters(FullConfig(), at::kFloat);
  parameters.layers[0].qkv.bias.copy_(at::arange(32));
  std::vector<NamedTensor> tensors = Copies(parameters);
  const std::string prefix = "model.layers.0.self_attn.";
  const auto first = [&](const std::string& name) {
    return Find(tensors, prefix + name).second[0].item<float>();
  };
  EXPECT_EQ(first("q_proj.bias"), 0);
  EXPECT_EQ(first("k_proj.bias"), 16);
  EXPECT_EQ(first("v_proj.bias"), 24);
  EXPECT_EQ(Find(tensors, prefix + "o_proj.bias").second.numel(), 8);
  EXPECT_EQ(Find(tensors, prefix + "q_norm.weight").second.numel(), 4);
  EXPECT_EQ(Find(tensors, prefix + "k_norm.weight").second.numel(), 4);
}

TEST(ParametersTest, SharesTheWorkAndTellsHowFarItIs) {
  ModelConfig config = SmallConfig();
  config.vocabulary_size = 2'500'000;  // some pieces more than go at once
  Parameters source = MakeParameters(config, at::kBFloat16);
  source.embedding.fill_(1);
  source.embedding[-1].fill_(3);
  source.layers[1].down.weight.fill_(2);
  Parameters target = MakeParameters(config, at::kFloat);
  std::vector<std::pair<uint64_t, uint64_t>> calls;
  ASSERT_OK(LoadTensors(
      HuggingFaceTensors(source), target,
      [&](uint64_t done, uint64_t total) { calls.emplace_back(done, total); }));
  EXPECT_TRUE(at::equal(source.flat.to(at::kFloat), target.flat));
  ASSERT_GT(calls.size(), 1u);
  const auto bytes = static_cast<uint64_t>(2 * source.num_parameters);
  EXPECT_EQ(calls.back(), std::pair(bytes, bytes));
  EXPECT_LT(calls.front().first, bytes);
}

class LoadTensorsTest : public ::testing::Test {
 protected:
  void ExpectRefused(const std::vector<NamedTensor>& tensors,
                     const std::vector<std::string>& parts) {
    const at::Tensor before = parameters_.flat.clone();
    const absl::Status status = LoadTensors(tensors, parameters_);
    for (const std::string& part : parts) {
      EXPECT_THAT(status, StatusIs(absl::StatusCode::kInvalidArgument,
                                   HasSubstr(part)));
    }
    EXPECT_TRUE(at::equal(parameters_.flat, before));
  }

  Parameters parameters_ = MakeParameters(SmallConfig(), at::kFloat);
  const std::vector<NamedTensor> whole_ = Copies(parameters_);
};

TEST_F(LoadTensorsTest, NamesWhatIsMissingUnknownOrThereTwice) {
  ExpectRefused({whole_.begin() + 2, whole_.end()},
                {"2 missing: model.embed_tokens.weight, "
                 "model.layers.0.input_layernorm.weight"});
  std::vector<NamedTensor> tensors = whole_;
  tensors.emplace_back("model.layers.2.mlp.up_proj.weight", whole_[0].second);
  tensors.emplace_back("a.weight", whole_[0].second);
  ExpectRefused(tensors,
                {"2 unknown: a.weight, model.layers.2.mlp.up_proj.weight"});
  tensors = whole_;
  tensors.push_back(whole_.front());
  ExpectRefused(tensors, {"1 there twice: model.embed_tokens.weight"});
}

TEST_F(LoadTensorsTest, NamesOtherShapesAndDtypes) {
  std::vector<NamedTensor> tensors = whole_;
  tensors.front().second = at::zeros({11, 8});
  ExpectRefused(tensors, {"1 of another shape: model.embed_tokens.weight "
                          "[11, 8], expected [10, 8]"});
  tensors = whole_;
  tensors.front().second = whole_.front().second.to(at::kChar);
  ExpectRefused(tensors, {"not floating point"});
}

TEST_F(LoadTensorsTest, NamesEveryDifferenceAtOnce) {
  std::vector<NamedTensor> tensors = whole_;
  tensors.erase(tensors.begin());
  tensors.emplace_back("extra", at::ones({1}));
  tensors[0].second = at::ones({3});
  ExpectRefused(tensors,
                {"model.embed_tokens.weight; 1 unknown: extra; 1 of another"});
}

TEST_F(LoadTensorsTest, AMessageHasAnEnd) {
  std::vector<NamedTensor> tensors = whole_;
  for (int i = 100; i < 150; ++i) {
    tensors.emplace_back("extra" + std::to_string(i), at::ones({1}));
  }
  tensors.emplace_back(std::string(4000, 'z'), at::ones({1}));
  const std::string message(LoadTensors(tensors, parameters_).message());
  EXPECT_THAT(message, HasSubstr("extra119 and 31 more"));
  EXPECT_LT(message.size(), 1000u);
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
  EXPECT_NEAR(a.layers[0].gate_up.weight.std().item<float>(), 0.02, 0.004);
}

TEST(ParametersTest, GradientsAreViewsOfOneBuffer) {
  Parameters parameters = MakeParameters(SmallConfig(), at::kFloat);
  EnableGradients(parameters);
  for (int i = 0; i < 2; ++i) {
    (parameters.layers[0].down.weight.sum() + 2 * parameters.final_norm.sum())
        .backward();
  }
  EXPECT_EQ(parameters.gradients.sum().item<float>(), 2 * (8 * 12 + 2 * 8));
  EXPECT_TRUE(parameters.layers[0].down.weight.grad().is_alias_of(
      parameters.gradients));
  // An update of the flat buffer is seen by the leaves.
  parameters.flat.fill_(4);
  EXPECT_EQ(parameters.layers[1].qkv.weight.min().item<float>(), 4);
}

TEST(ParametersTest, LoadsAGoldenModel) {
  ASSERT_OK_AND_ASSIGN(const Parameters parameters,
                       LoadModel(GoldenDirectory("llama-untied"), at::kFloat));
  EXPECT_GT(parameters.lm_head.std().item<float>(), 0.2);
}

}  // namespace
}  // namespace varalign::model
