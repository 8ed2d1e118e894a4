#include "model/adapter.h"

#include <ATen/ATen.h>

#include <cmath>
#include <map>

#include "base/file.h"
#include "gmock/gmock.h"
#include "model/forward.h"
#include "tests/model/golden_model.h"
#include "tests/testing/status_matchers.h"
#include "tests/testing/tensor_distance.h"

namespace varalign::model {
namespace {

using ::testing::AllOf;
using ::testing::HasSubstr;
using ::varalign::testing::Distance;
using ::varalign::testing::StatusIs;

constexpr double kLogitTolerance = 1e-4;
constexpr double kGradientTolerance = 1e-4;  // of the gradient's norm

const std::vector<std::string>& AllModules() {
  static const auto* const kModules =
      new std::vector<std::string>{"q_proj",    "k_proj",  "v_proj",   "o_proj",
                                   "gate_proj", "up_proj", "down_proj"};
  return *kModules;
}

AdapterOptions Options(std::vector<std::string> modules = AllModules()) {
  return {.rank = 3, .alpha = 6, .modules = std::move(modules)};
}

// A golden model with an adapter whose B is not zero.
absl::StatusOr<Parameters> Adapted(const std::string& name,
                                   at::ScalarType dtype,
                                   const AdapterOptions& options = Options()) {
  ASSIGN_OR_RETURN(Parameters parameters,
                   LoadModel(GoldenDirectory(name), dtype));
  RETURN_IF_ERROR(AddAdapter(options, 1, parameters));
  at::manual_seed(11);
  parameters.flat.normal_(0, 0.25);
  return parameters;
}

// An adapter that PEFT made and saved, on one of the golden models.
struct Case {
  Parameters parameters;
  Golden golden;
  GoldenBatch batch;
  AdapterOptions options;
  std::map<std::string, at::Tensor> adapter;  // PEFT's file
  std::map<std::string, at::Tensor> tensors;  // the reference's numbers
};

std::filesystem::path LoraDirectory(const std::string& name) {
  return GoldenDirectory("lora") / name;
}

absl::StatusOr<Case> LoadCase(const std::string& name) {
  Case c;
  const std::filesystem::path directory = LoraDirectory(name);
  ASSIGN_OR_RETURN(c.parameters, LoadModel(GoldenDirectory(name), at::kFloat));
  ASSIGN_OR_RETURN(c.golden, ReadGolden(directory));
  ASSIGN_OR_RETURN(c.tensors, ReadTensors(directory / "golden.safetensors"));
  ASSIGN_OR_RETURN(c.adapter,
                   ReadTensors(directory / "adapter_model.safetensors"));
  ASSIGN_OR_RETURN(const std::string text,
                   base::ReadFile(directory / "adapter_config.json"));
  ASSIGN_OR_RETURN(const base::Json config, base::ParseJson(text));
  c.options = {.rank = config["r"], .alpha = config["lora_alpha"]};
  for (const std::string path : config["target_modules"]) {
    c.options.modules.push_back(path.substr(path.rfind('.') + 1));
  }
  c.batch = PackGolden(c.golden.rows);
  RETURN_IF_ERROR(AddAdapter(c.options, 0, c.parameters));
  const std::vector<NamedTensor> named(c.adapter.begin(), c.adapter.end());
  RETURN_IF_ERROR(LoadAdapter(named, c.parameters));
  return c;
}

at::Tensor Loss(const Parameters& parameters, const GoldenBatch& batch,
                Recompute recompute = Recompute::kNothing) {
  const at::Tensor hidden =
      Forward(parameters, batch.tokens,
              base::PackedLayout::OfSequences(batch.cu_seqlens),
              batch.loss_rows, recompute);
  return PlainLoss(hidden, parameters.lm_head, batch);
}

// The gradients of the flat buffer under PEFT's names.
absl::StatusOr<std::vector<NamedTensor>> NamedGradients(
    const std::string& model, const AdapterOptions& options,
    const at::Tensor& gradients) {
  ASSIGN_OR_RETURN(Parameters view,
                   LoadModel(GoldenDirectory(model), at::kFloat));
  RETURN_IF_ERROR(AddAdapter(options, 0, view));
  view.flat.copy_(gradients);
  return AdapterTensors(view);
}

class PeftAdapterTest : public ::testing::TestWithParam<std::string> {};

TEST_P(PeftAdapterTest, LogitsEqualThoseOfPeft) {
  ASSERT_OK_AND_ASSIGN(const Case c, LoadCase(GetParam()));
  const at::Tensor hidden =
      Forward(c.parameters, c.batch.tokens, c.batch.cu_seqlens);
  const at::Tensor logits = hidden.mm(c.parameters.lm_head.t());
  const at::Tensor& expected = c.tensors.at("logits");
  EXPECT_LT((logits - expected).abs().max().item<double>(), kLogitTolerance);
  // And the adapter has a part in them.
  ASSERT_OK_AND_ASSIGN(const Parameters bare,
                       LoadModel(GoldenDirectory(GetParam()), at::kFloat));
  const at::Tensor without =
      Forward(bare, c.batch.tokens, c.batch.cu_seqlens).mm(bare.lm_head.t());
  EXPECT_GT((without - expected).abs().max().item<double>(), 0.1);
}

TEST_P(PeftAdapterTest, GradientsEqualThoseOfPeftByName) {
  ASSERT_OK_AND_ASSIGN(Case c, LoadCase(GetParam()));
  EnableGradients(c.parameters);
  const at::Tensor loss = Loss(c.parameters, c.batch);
  const double expected = c.golden.numbers["loss"].get<double>();
  EXPECT_NEAR(loss.item<double>() / expected, 1, 1e-5);
  loss.backward();
  ASSERT_OK_AND_ASSIGN(
      const auto gradients,
      NamedGradients(GetParam(), c.options, c.parameters.gradients));
  EXPECT_EQ(gradients.size(), c.adapter.size());
  for (const auto& [name, gradient] : gradients) {
    ASSERT_TRUE(c.tensors.contains("gradient." + name)) << name;
    const at::Tensor& reference = c.tensors.at("gradient." + name);
    EXPECT_GT(reference.norm().item<double>(), 0) << name;
    EXPECT_LT(Distance(gradient, reference), kGradientTolerance) << name;
  }
}

TEST_P(PeftAdapterTest, ItsTensorsComeBackUnderTheirNames) {
  ASSERT_OK_AND_ASSIGN(const Case c, LoadCase(GetParam()));
  const std::vector<NamedTensor> tensors = AdapterTensors(c.parameters);
  EXPECT_EQ(tensors.size(), c.adapter.size());
  for (const auto& [name, tensor] : tensors) {
    ASSERT_TRUE(c.adapter.contains(name)) << name;
    EXPECT_TRUE(at::equal(tensor, c.adapter.at(name))) << name;
  }
}

INSTANTIATE_TEST_SUITE_P(Models, PeftAdapterTest,
                         ::testing::Values("llama-untied", "qwen2", "qwen3"),
                         GoldenTestName);

class AdapterTest : public ::testing::TestWithParam<std::string> {
 protected:
  void SetUp() override {
    ASSERT_OK_AND_ASSIGN(golden_, ReadGolden(GoldenDirectory(GetParam())));
    batch_ = PackGolden(golden_.rows);
  }
  at::Tensor Hidden(const Parameters& parameters) const {
    return Forward(parameters, batch_.tokens, batch_.cu_seqlens);
  }

  Golden golden_;
  GoldenBatch batch_;
};

TEST_P(AdapterTest, ANewOneChangesNoBitAndIsOfTheSeedAlone) {
  ASSERT_OK_AND_ASSIGN(const Parameters bare,
                       LoadModel(GoldenDirectory(GetParam()), at::kFloat));
  std::vector<at::Tensor> flats;
  for (const uint64_t seed : {5, 5, 6}) {
    ASSERT_OK_AND_ASSIGN(Parameters adapted,
                         LoadModel(GoldenDirectory(GetParam()), at::kFloat));
    ASSERT_OK(AddAdapter(Options(), seed, adapted));
    EXPECT_TRUE(at::equal(Hidden(adapted), Hidden(bare)));
    flats.push_back(adapted.flat);
    for (const auto& [name, tensor] : AdapterTensors(adapted)) {
      if (name.find("lora_B") != std::string::npos) {
        EXPECT_EQ(tensor.abs().max().item<double>(), 0) << name;
        continue;
      }
      const double bound = 1 / std::sqrt(static_cast<double>(tensor.size(1)));
      const double top = tensor.abs().max().item<double>();
      EXPECT_LE(top, bound) << name;
      EXPECT_GT(top, 0.7 * bound) << name;
      EXPECT_LT(std::abs(tensor.mean().item<double>()), 0.3 * bound) << name;
    }
  }
  EXPECT_TRUE(at::equal(flats[0], flats[1]));
  EXPECT_FALSE(at::equal(flats[0], flats[2]));
}

TEST_P(AdapterTest, TheMergedModelComputesTheSameAndTheBaseKeepsItsBits) {
  ASSERT_OK_AND_ASSIGN(const Parameters bare,
                       LoadModel(GoldenDirectory(GetParam()), at::kDouble));
  ASSERT_OK_AND_ASSIGN(Parameters adapted, Adapted(GetParam(), at::kDouble));
  Parameters merged = MakeParameters(adapted.config, at::kDouble);
  ASSERT_OK(LoadTensors(MergedTensors(adapted), merged));
  const at::Tensor expected = Hidden(adapted);
  EXPECT_LT((Hidden(merged) - expected).norm().item<double>(),
            1e-12 * expected.norm().item<double>());
  EXPECT_GT((Hidden(bare) - expected).norm().item<double>(),
            1e-2 * expected.norm().item<double>());
  EXPECT_TRUE(at::equal(adapted.base, bare.flat));
  // What has no low-rank part is as it was, bit for bit.
  const auto before = HuggingFaceTensors(bare);
  const auto after = MergedTensors(adapted);
  ASSERT_EQ(before.size(), after.size());
  for (size_t i = 0; i < before.size(); ++i) {
    EXPECT_EQ(before[i].first, after[i].first);
    const bool changed =
        before[i].first.find("_proj.weight") != std::string::npos;
    EXPECT_EQ(at::equal(before[i].second, after[i].second), !changed)
        << before[i].first;
  }
}

TEST_P(AdapterTest, OnlyTheAdapterIsTrained) {
  ASSERT_OK_AND_ASSIGN(Parameters adapted, Adapted(GetParam(), at::kFloat));
  EnableGradients(adapted);
  EXPECT_LT(adapted.flat.numel(), adapted.base.numel());
  EXPECT_EQ(adapted.gradients.sizes(), adapted.flat.sizes());
  EXPECT_EQ(adapted.decayed.size(), 1u);
  Loss(adapted, batch_).backward();
  EXPECT_GT(adapted.gradients.narrow(0, 0, adapted.num_parameters)
                .norm()
                .item<double>(),
            0);
  for (const at::Tensor& tensor :
       {adapted.embedding, adapted.final_norm, adapted.lm_head, adapted.base}) {
    EXPECT_FALSE(tensor.requires_grad());
    EXPECT_FALSE(tensor.grad().defined());
  }
  for (const LayerParameters& layer : adapted.layers) {
    for (const at::Tensor& tensor : TensorsOf(layer)) {
      EXPECT_FALSE(tensor.requires_grad());
      EXPECT_FALSE(tensor.grad().defined());
    }
  }
}

// With down_proj alone a layer has outputs that depend on nothing trained.
TEST_P(AdapterTest, AllWaysToRecomputeGiveTheSameBits) {
  const std::vector<std::vector<std::string>> choices = {
      AllModules(), {"down_proj"}, {"q_proj", "v_proj"}, {"o_proj"}};
  for (const auto& modules : choices) {
    ASSERT_OK_AND_ASSIGN(Parameters adapted,
                         Adapted(GetParam(), at::kFloat, Options(modules)));
    EnableGradients(adapted);
    Loss(adapted, batch_).backward();
    const at::Tensor expected = adapted.gradients.clone();
    EXPECT_GT(expected.norm().item<double>(), 0);
    for (const Recompute recompute :
         {Recompute::kElementwise, Recompute::kMlp, Recompute::kLayer}) {
      adapted.gradients.zero_();
      Loss(adapted, batch_, recompute).backward();
      EXPECT_TRUE(at::equal(adapted.gradients, expected))
          << modules[0] << " " << static_cast<int>(recompute);
    }
  }
}

TEST_P(AdapterTest, LogProbsAreThoseOfTheMergedModel) {
  ASSERT_OK_AND_ASSIGN(const Parameters adapted,
                       Adapted(GetParam(), at::kFloat));
  Parameters merged = MakeParameters(adapted.config, at::kFloat);
  ASSERT_OK(LoadTensors(MergedTensors(adapted), merged));
  ASSERT_OK_AND_ASSIGN(const auto ours, LogProbs(adapted, golden_.Sequences()));
  ASSERT_OK_AND_ASSIGN(const auto theirs,
                       LogProbs(merged, golden_.Sequences()));
  for (size_t i = 0; i < ours.size(); ++i) {
    EXPECT_NEAR(ours[i].sum, theirs[i].sum,
                5e-5 * static_cast<double>(ours[i].tokens.size()) + 1e-5);
  }
}

INSTANTIATE_TEST_SUITE_P(Models, AdapterTest,
                         ::testing::ValuesIn(CausalGoldens()), GoldenTestName);

TEST(RewardAdapterTest, ARewardModelsDecoderTakesOneToo) {
  for (const std::string& name : RewardGoldens()) {
    ASSERT_OK_AND_ASSIGN(const Parameters adapted, Adapted(name, at::kFloat));
    Parameters merged = MakeParameters(adapted.config, at::kFloat);
    ASSERT_OK(LoadTensors(MergedTensors(adapted), merged));
    ASSERT_OK_AND_ASSIGN(const Golden golden,
                         ReadGolden(GoldenDirectory(name)));
    ASSERT_OK_AND_ASSIGN(const auto ours, Rewards(adapted, golden.Sequences()));
    ASSERT_OK_AND_ASSIGN(const auto theirs,
                         Rewards(merged, golden.Sequences()));
    for (size_t i = 0; i < ours.size(); ++i) {
      EXPECT_NEAR(ours[i], theirs[i], 1e-4);
    }
  }
}

TEST(AdapterFilesTest, AllThatDoesNotFitIsToldAtOnce) {
  ASSERT_OK_AND_ASSIGN(Parameters adapted, Adapted("llama-untied", at::kFloat,
                                                   Options({"q_proj"})));
  const at::Tensor before = adapted.flat.clone();
  std::vector<NamedTensor> tensors = AdapterTensors(adapted);
  ASSERT_EQ(tensors.size(), 4u);
  const std::string layer = "base_model.model.model.layers.0.self_attn.q_proj.";
  EXPECT_EQ(tensors[0].first, layer + "lora_A.weight");
  EXPECT_EQ(tensors[1].first, layer + "lora_B.weight");
  for (auto& [name, tensor] : tensors) tensor = at::ones_like(tensor);
  tensors[0].second = at::ones({2, 16});
  tensors[1].second = tensors[1].second.to(at::kLong);
  tensors[3].first = "base_model.model.lm_head.lora_A.weight";
  EXPECT_THAT(
      LoadAdapter(tensors, adapted),
      StatusIs(absl::StatusCode::kInvalidArgument,
               AllOf(HasSubstr("1 missing: base_model.model.model.layers.1."
                               "self_attn.q_proj.lora_B.weight"),
                     HasSubstr("1 unknown: base_model.model.lm_head"),
                     HasSubstr("lora_A.weight [2, 16], expected [3, 16]"),
                     HasSubstr("1 not floating point"))));
  EXPECT_TRUE(at::equal(adapted.flat, before));
}

TEST(AdapterOptionsTest, WhatMakesNoAdapterIsRefused) {
  ASSERT_OK_AND_ASSIGN(Parameters parameters,
                       LoadModel(GoldenDirectory("llama-untied"), at::kFloat));
  const std::vector<AdapterOptions> bad = {
      {.rank = 0, .alpha = 1, .modules = {"q_proj"}},
      {.rank = 1, .alpha = 0, .modules = {"q_proj"}},
      {.rank = 1, .alpha = 1, .modules = {}},
      {.rank = 1, .alpha = 1, .modules = {"lm_head"}}};
  for (const AdapterOptions& options : bad) {
    EXPECT_THAT(AddAdapter(options, 0, parameters),
                StatusIs(absl::StatusCode::kInvalidArgument));
    EXPECT_FALSE(parameters.base.defined());
  }
  ASSERT_OK(AddAdapter(Options(), 0, parameters));
  EXPECT_THAT(AddAdapter(Options(), 0, parameters),
              StatusIs(absl::StatusCode::kInvalidArgument,
                       HasSubstr("has an adapter already")));
}

}  // namespace
}  // namespace varalign::model
