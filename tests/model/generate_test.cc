#include "model/generate.h"

#include <algorithm>
#include <set>

#include "base/file.h"
#include "base/json.h"
#include "model/cached_decoder.h"
#include "model/score.h"
#include "tests/model/golden_model.h"
#include "tests/testing/status_matchers.h"
#include "tests/testing/test_data.h"

namespace varalign::model {
namespace {

using ::testing::AllOf;
using ::testing::HasSubstr;
using ::varalign::testing::StatusIs;

constexpr uint32_t kEnd = 2;

GenerateOptions Greedy(uint32_t max_new_tokens) {
  return {.sampling = {.temperature = 0},
          .max_new_tokens = max_new_tokens,
          .stop_tokens = {kEnd}};
}

std::vector<GenerationPrompt> SomePrompts() {
  std::vector<GenerationPrompt> prompts;
  for (uint32_t i = 0; i < 21; ++i) {
    std::vector<uint32_t> ids(1 + i * 7 % 23, 0);
    for (size_t t = 0; t < ids.size(); ++t) {
      ids[t] = static_cast<uint32_t>(3 + (i * 11 + t * 5) % 61);
    }
    prompts.push_back({std::move(ids), 100 + i});
  }
  return prompts;
}

// 204 prompts for six families; transformers with its cache.
TEST(GenerateTest, GreedyTokensEqualTransformers) {
  const base::Json golden = *base::ParseJson(*base::ReadFile(
      testing::SourceDirectory() / "tests/golden/generate.json"));
  size_t num_prompts = 0;
  for (const auto& [name, cases] : golden["models"].items()) {
    ASSERT_OK_AND_ASSIGN(const Parameters parameters,
                         LoadModel(GoldenDirectory(name), at::kFloat));
    std::vector<GenerationPrompt> prompts;
    for (const base::Json& item : cases) {
      prompts.push_back({item["prompt"].get<std::vector<uint32_t>>(), 0});
    }
    ASSERT_OK_AND_ASSIGN(
        const auto results,
        Generate(parameters, prompts,
                 Greedy(golden["max_new_tokens"].get<uint32_t>())));
    for (size_t i = 0; i < results.size(); ++i) {
      EXPECT_EQ(results[i].ids, cases[i]["ids"].get<std::vector<uint32_t>>())
          << name << ", prompt " << i;
    }
    num_prompts += results.size();
  }
  EXPECT_GE(num_prompts, 200u);
}

// A real model; its golden.json is of an independent numpy forward pass.
TEST(GenerateTest, StoriesGoOnAsTheReferenceDoes) {
  REQUIRE_TEST_DATA(model, "models/stories260k");
  ASSERT_OK_AND_ASSIGN(const Parameters parameters,
                       LoadModel(model, at::kFloat));
  const base::Json golden =
      *base::ParseJson(*base::ReadFile(model / "golden.json"));
  int num_cases = 0;
  for (const base::Json& item : golden) {
    const auto expected = item["greedy_ids"].get<std::vector<uint32_t>>();
    const GenerationPrompt prompt{item["ids"].get<std::vector<uint32_t>>(), 0};
    ASSERT_OK_AND_ASSIGN(
        const auto results,
        Generate(parameters, std::span(&prompt, 1),
                 {.sampling = {.temperature = 0},
                  .max_new_tokens = static_cast<uint32_t>(expected.size())}));
    EXPECT_EQ(results[0].ids, expected);
    ++num_cases;
  }
  EXPECT_GE(num_cases, 1);
}

class SampledTest : public ::testing::Test {
 protected:
  std::vector<Generation> Run(const std::vector<GenerationPrompt>& prompts,
                              const GenerateOptions& options) {
    auto results = Generate(parameters_, prompts, options);
    EXPECT_TRUE(results.ok()) << results.status();
    return *std::move(results);
  }

  const Parameters parameters_ =
      *LoadModel(GoldenDirectory("qwen3"), at::kFloat);
  const GenerateOptions options_ = {
      .sampling = {.temperature = 0.9, .top_k = 40, .top_p = 0.95},
      .max_new_tokens = 20,
      .stop_tokens = {kEnd},
      .seed = 11};
};

TEST_F(SampledTest, ASeedGivesTheSameTokensAgainAndAnotherOthers) {
  const auto prompts = SomePrompts();
  const auto first = Run(prompts, options_);
  const auto again = Run(prompts, options_);
  GenerateOptions other = options_;
  other.seed = 12;
  const auto others = Run(prompts, other);
  size_t num_equal = 0;
  for (size_t i = 0; i < prompts.size(); ++i) {
    EXPECT_EQ(first[i].ids, again[i].ids);
    EXPECT_EQ(first[i].log_probs, again[i].log_probs);
    num_equal += first[i].ids == others[i].ids ? 1 : 0;
  }
  EXPECT_LT(num_equal, prompts.size() / 2);
}

TEST_F(SampledTest, ASequenceDoesNotDependOnItsBatch) {
  const auto prompts = SomePrompts();
  const auto together = Run(prompts, options_);
  auto reversed_prompts = prompts;
  std::reverse(reversed_prompts.begin(), reversed_prompts.end());
  const auto reversed = Run(reversed_prompts, options_);
  for (size_t i = 0; i < prompts.size(); ++i) {
    const auto alone = Run({prompts[i]}, options_);
    EXPECT_EQ(alone[0].ids, together[i].ids) << i;
    EXPECT_EQ(alone[0].log_probs, together[i].log_probs) << i;
    EXPECT_EQ(reversed[prompts.size() - 1 - i].log_probs, together[i].log_probs)
        << i;
  }
}

TEST_F(SampledTest, LogProbabilitiesAreThoseOfTheScorer) {
  const auto prompts = SomePrompts();
  const auto results = Run(prompts, options_);
  std::vector<Sequence> sequences;
  for (size_t i = 0; i < prompts.size(); ++i) {
    sequences.push_back({prompts[i].ids, results[i].ids});
  }
  ASSERT_OK_AND_ASSIGN(const auto scores, LogProbs(parameters_, sequences));
  for (size_t i = 0; i < prompts.size(); ++i) {
    EXPECT_NEAR(results[i].logprob_sum, scores[i].sum, 1e-4) << i;
    ASSERT_EQ(results[i].log_probs.size(), scores[i].tokens.size());
    for (size_t t = 0; t < scores[i].tokens.size(); ++t) {
      EXPECT_NEAR(results[i].log_probs[t], scores[i].tokens[t], 5e-5);
    }
  }
}

TEST_F(SampledTest, StopTokensEndAResponseAndStandInIt) {
  size_t num_stopped = 0;
  GenerateOptions options = options_;
  options.stop_tokens = {5, 17, 30, 44};
  for (const Generation& result : Run(SomePrompts(), options)) {
    const auto stop = std::find_first_of(result.ids.begin(), result.ids.end(),
                                         options.stop_tokens.begin(),
                                         options.stop_tokens.end());
    if (result.finish_reason == FinishReason::kStop) {
      EXPECT_EQ(stop, result.ids.end() - 1);
      ++num_stopped;
    } else {
      EXPECT_EQ(stop, result.ids.end());
      EXPECT_EQ(result.ids.size(), 20u);
    }
  }
  EXPECT_GT(num_stopped, 0u);
}

TEST_F(SampledTest, TheSinkHearsEveryTokenInOrder) {
  const auto prompts = SomePrompts();
  std::vector<std::vector<uint32_t>> heard(prompts.size());
  const auto results = Generate(
      parameters_, prompts, options_,
      [&](size_t prompt, uint32_t token) { heard[prompt].push_back(token); });
  ASSERT_TRUE(results.ok()) << results.status();
  for (size_t i = 0; i < prompts.size(); ++i) {
    EXPECT_EQ(heard[i], (*results)[i].ids);
  }
}

TEST_F(SampledTest, ResponsesEndWithTheModelsPositions) {
  const std::vector<GenerationPrompt> prompts = {
      {std::vector<uint32_t>(120, 7), 0}};
  GenerateOptions options = options_;
  options.max_new_tokens = 100;
  options.stop_tokens = {};
  const auto results = Run(prompts, options);
  EXPECT_EQ(results[0].ids.size(), 8u);  // 128 positions
  EXPECT_EQ(results[0].finish_reason, FinishReason::kLength);
}

TEST_F(SampledTest, RefusesWhatItCannotGoOnFrom) {
  const auto status = [&](std::vector<uint32_t> ids) {
    const std::vector<GenerationPrompt> prompts = {{{1}, 0},
                                                   {std::move(ids), 0}};
    return Generate(parameters_, prompts, options_).status();
  };
  EXPECT_THAT(status(std::vector<uint32_t>(128, 7)),
              StatusIs(absl::StatusCode::kOutOfRange,
                       AllOf(HasSubstr("128 positions"),
                             HasSubstr("128 tokens in prompt 1"))));
  EXPECT_THAT(status({}), StatusIs(absl::StatusCode::kInvalidArgument,
                                   HasSubstr("no token: prompt 1")));
  EXPECT_THAT(status({64}), StatusIs(absl::StatusCode::kInvalidArgument,
                                     HasSubstr("vocabulary of 64: 64")));
  GenerateOptions options = options_;
  options.max_new_tokens = 0;
  EXPECT_THAT(Generate(parameters_, SomePrompts(), options).status(),
              StatusIs(absl::StatusCode::kInvalidArgument,
                       HasSubstr("max new tokens")));
  ASSERT_OK_AND_ASSIGN(const Parameters reward,
                       LoadModel(GoldenDirectory("qwen3-reward"), at::kFloat));
  EXPECT_THAT(
      Generate(reward, SomePrompts(), options_).status(),
      StatusIs(absl::StatusCode::kInvalidArgument, HasSubstr("reward model")));
}

}  // namespace
}  // namespace varalign::model
