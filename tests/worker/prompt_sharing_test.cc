// Training on shared blocks against training on whole sequences: the loss and
// every parameter's gradient.
#include <ATen/ATen.h>
#include <c10/core/GradMode.h>
#include <gtest/gtest.h>

#include <random>

#include "data/collate.h"
#include "model/forward.h"
#include "objective/weighted_nll.h"
#include "tests/model/golden_model.h"
#include "tests/testing/live_memory.h"
#include "tests/testing/status_matchers.h"

namespace varalign::worker {
namespace {

using Ids = std::vector<uint32_t>;

struct Example {
  Ids prompt;
  std::vector<Ids> responses;
};

// Blocks of 1 to 12 responses; prompts and responses of one token among them.
std::vector<Example> RandomExamples(uint32_t seed, size_t count) {
  std::mt19937 random(seed);
  const auto ids = [&](uint32_t longest) {
    Ids result(1 + random() % longest);
    for (uint32_t& id : result) id = static_cast<uint32_t>(random() % 64);
    return result;
  };
  std::vector<Example> examples;
  for (size_t i = 0; i < count; ++i) {
    Example& example = examples.emplace_back();
    example.prompt = i % 3 == 0 ? ids(1) : ids(40);
    const size_t responses = 1 + random() % 12;
    for (size_t k = 0; k < responses; ++k) {
      example.responses.push_back(k % 4 == 1 ? ids(1) : ids(30));
    }
  }
  return examples;
}

data::PackedRows Pack(const std::vector<Example>& examples, bool shared) {
  std::vector<data::TokenBlock> blocks;
  std::vector<data::TokenRow> rows;
  for (const Example& example : examples) {
    data::TokenBlock& block = blocks.emplace_back();
    block.prompt = example.prompt;
    for (const Ids& response : example.responses) {
      block.responses.push_back(response);
      rows.push_back({example.prompt, response});
    }
  }
  return shared ? data::PackBlocks(blocks) : data::PackRows(rows);
}

// As a device wants it: a tail of rows that belong to nobody.
void AddTail(data::PackedRows& packed) {
  packed.tokens = at::cat({packed.tokens, at::zeros({7}, at::kLong)});
}

struct Outcome {
  double loss = 0;
  at::Tensor nll;       // [R]
  at::Tensor gradient;  // [P]
};

class PromptSharingTest : public ::testing::TestWithParam<const char*> {
 protected:
  model::Parameters Load(at::ScalarType dtype) {
    model::Parameters parameters =
        *model::LoadModel(model::GoldenDirectory(GetParam()), dtype);
    model::EnableGradients(parameters);
    return parameters;
  }

  // Weights that differ from response to response.
  static at::Tensor Weights(const data::PackedRows& packed) {
    return (packed.row_of_target % 5 + 1).to(at::kDouble) / 7;
  }

  static Outcome Train(
      const model::Parameters& parameters, const data::PackedRows& packed,
      model::Recompute recompute = model::Recompute::kNothing) {
    parameters.gradients.zero_();
    const at::Tensor hidden =
        model::Forward(parameters, packed.tokens, packed.layout,
                       packed.loss_positions, recompute);
    const objective::WeightedNll loss = objective::WeightedNllLoss(
        hidden, parameters.lm_head, packed.targets, Weights(packed), 16);
    loss.loss.backward();
    return {loss.loss.item<double>(), loss.nll, parameters.gradients.clone()};
  }

  void ExpectSharedEqualsUnshared(at::ScalarType dtype, double tolerance);
};

// Every tensor of the model by itself, relative to its norm.
void ExpectGradientsNear(const model::Parameters& parameters,
                         const at::Tensor& gradient, const at::Tensor& expected,
                         double tolerance) {
  model::Parameters a =
      model::MakeParameters(parameters.config, gradient.scalar_type());
  model::Parameters b =
      model::MakeParameters(parameters.config, gradient.scalar_type());
  a.flat.copy_(gradient);
  b.flat.copy_(expected);
  const auto ours = model::HuggingFaceTensors(a);
  const auto theirs = model::HuggingFaceTensors(b);
  for (size_t i = 0; i < ours.size(); ++i) {
    const double norm = theirs[i].second.norm().item<double>();
    EXPECT_GT(norm, 0) << theirs[i].first;
    EXPECT_LE((ours[i].second - theirs[i].second).norm().item<double>(),
              tolerance * norm)
        << theirs[i].first;
  }
}

void PromptSharingTest::ExpectSharedEqualsUnshared(at::ScalarType dtype,
                                                   double tolerance) {
  const model::Parameters parameters = Load(dtype);
  for (const uint32_t seed : {1u, 2u, 3u, 4u}) {
    const std::vector<Example> examples = RandomExamples(seed, 6);
    data::PackedRows shared = Pack(examples, true);
    const data::PackedRows whole = Pack(examples, false);
    ASSERT_LT(shared.tokens.size(0), whole.tokens.size(0));
    AddTail(shared);
    const Outcome ours = Train(parameters, shared);
    const Outcome oracle = Train(parameters, whole);
    EXPECT_NEAR(ours.loss / oracle.loss, 1, tolerance);
    EXPECT_LT((ours.nll - oracle.nll).abs().max().item<double>(),
              10 * tolerance);
    ExpectGradientsNear(parameters, ours.gradient, oracle.gradient, tolerance);
  }
}

TEST_P(PromptSharingTest, EqualsWholeSequencesInFloat64) {
  ExpectSharedEqualsUnshared(at::kDouble, 1e-12);
}

TEST_P(PromptSharingTest, EqualsWholeSequencesInFloat32) {
  ExpectSharedEqualsUnshared(at::kFloat, 3e-5);
}

TEST_P(PromptSharingTest, GradientIsTheSlopeOfTheLoss) {
  model::Parameters parameters = Load(at::kDouble);
  const data::PackedRows packed = Pack(RandomExamples(5, 4), true);
  const at::Tensor gradient = Train(parameters, packed).gradient;
  const at::Tensor direction = at::randn_like(gradient);
  const double step = 1e-6;
  const auto loss_at = [&](double distance) {
    const at::Tensor kept = parameters.flat.detach().clone();
    {
      const c10::NoGradGuard no_grad;
      parameters.flat.add_(direction, distance);
    }
    const double loss = Train(parameters, packed).loss;
    const c10::NoGradGuard no_grad;
    parameters.flat.copy_(kept);
    return loss;
  };
  const double slope = (loss_at(step) - loss_at(-step)) / (2 * step);
  const double expected = gradient.dot(direction).item<double>();
  EXPECT_NEAR(slope / expected, 1, 1e-6);
}

// Block A's tokens change; the log-likelihoods of B keep their bits.
TEST_P(PromptSharingTest, OtherBlocksLeaveTheBits) {
  const model::Parameters parameters = Load(at::kFloat);
  std::vector<Example> examples = RandomExamples(6, 3);
  const at::Tensor before = Train(parameters, Pack(examples, true)).nll;
  for (uint32_t& id : examples[1].prompt) id = (id + 1) % 64;
  for (Ids& response : examples[1].responses) {
    for (uint32_t& id : response) id = (id + 7) % 64;
  }
  const at::Tensor after = Train(parameters, Pack(examples, true)).nll;
  const auto targets = [&](size_t example) {
    size_t count = 0;
    for (const Ids& response : examples[example].responses) {
      count += response.size();
    }
    return static_cast<int64_t>(count);
  };
  const int64_t a = targets(0), b = targets(1), c = targets(2);
  EXPECT_TRUE(at::equal(before.narrow(0, 0, a), after.narrow(0, 0, a)));
  EXPECT_FALSE(at::equal(before.narrow(0, a, b), after.narrow(0, a, b)));
  EXPECT_TRUE(at::equal(before.narrow(0, a + b, c), after.narrow(0, a + b, c)));
}

TEST_P(PromptSharingTest, RecomputedActivationsGiveTheSameBits) {
  const model::Parameters parameters = Load(at::kFloat);
  const data::PackedRows packed = Pack(RandomExamples(7, 5), true);
  const Outcome kept = Train(parameters, packed);
  for (const auto recompute :
       {model::Recompute::kElementwise, model::Recompute::kMlp,
        model::Recompute::kLayer}) {
    const Outcome again = Train(parameters, packed, recompute);
    EXPECT_EQ(again.loss, kept.loss);
    EXPECT_TRUE(at::equal(again.gradient, kept.gradient))
        << static_cast<int>(recompute);
  }
}

// Bytes that wait for the backward pass, against the counts of
// model/recompute.h.
TEST_P(PromptSharingTest, RecomputeKeepsWhatItSays) {
  const model::Parameters parameters = Load(at::kFloat);
  const data::PackedRows packed = Pack(RandomExamples(8, 60), true);
  const model::ModelConfig& c = parameters.config;
  const int64_t h = c.hidden_size, i = c.intermediate_size;
  const int64_t b = c.head_dim * c.num_kv_heads;
  const int64_t ab = c.head_dim * (c.num_heads + c.num_kv_heads);
  const struct {
    model::Recompute recompute;
    int64_t values;  // of a token and a layer
  } kCases[] = {{model::Recompute::kNothing, 4 * h + 2 * ab + 3 * i},
                {model::Recompute::kElementwise, 2 * h + 2 * ab + 2 * i},
                {model::Recompute::kMlp, 3 * h + 2 * ab},
                {model::Recompute::kLayer, 2 * h}};
  const int64_t rows = packed.tokens.size(0);
  for (const auto& [recompute, values] : kCases) {
    const testing::LiveMemory memory;
    const at::Tensor hidden = model::Forward(
        parameters, packed.tokens, packed.layout, at::Tensor(), recompute);
    const double per_token_layer = static_cast<double>(memory.live_bytes()) /
                                   static_cast<double>(sizeof(float)) /
                                   static_cast<double>(rows) /
                                   static_cast<double>(c.num_layers);
    // Beside it: the ends of the stream (2 H or 3 H over all layers), a few
    // numbers a row and head, and what norms of heads keep of their own.
    const auto ends =
        static_cast<double>(3 * h + 2) / static_cast<double>(c.num_layers);
    const int64_t head_norms =
        parameters.layers[0].query_norm.defined() ? ab + b : 0;
    const auto beside =
        ends + static_cast<double>(2 * c.num_heads + 4 + head_norms);
    EXPECT_GE(per_token_layer, static_cast<double>(values) * 0.98)
        << static_cast<int>(recompute);
    EXPECT_LE(per_token_layer, static_cast<double>(values) + beside)
        << static_cast<int>(recompute);
  }
}

INSTANTIATE_TEST_SUITE_P(Models, PromptSharingTest,
                         ::testing::Values("llama-tied", "llama-untied",
                                           "llama-bias", "qwen2", "qwen3"),
                         [](const auto& model) {
                           std::string name = model.param;
                           std::erase(name, '-');
                           return name;
                         });

}  // namespace
}  // namespace varalign::worker
