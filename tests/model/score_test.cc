#include "model/score.h"

#include <ATen/ATen.h>

#include <algorithm>
#include <cmath>
#include <limits>
#include <random>

#include "base/file.h"
#include "model/forward.h"
#include "tests/model/golden_model.h"
#include "tests/testing/status_matchers.h"
#include "tests/testing/test_data.h"

namespace varalign::model {
namespace {

using ::testing::HasSubstr;
using testing::StatusIs;

constexpr double kTokenTolerance = 5e-5;

class ScoreTest : public ::testing::TestWithParam<std::string> {};

TEST_P(ScoreTest, LogProbsEqualTheReference) {
  const auto directory = GoldenDirectory(GetParam());
  ASSERT_OK_AND_ASSIGN(const Parameters parameters,
                       LoadModel(directory, at::kFloat));
  ASSERT_OK_AND_ASSIGN(const Golden golden, ReadGolden(directory));
  ASSERT_OK_AND_ASSIGN(const std::vector<ResponseLogProbs> results,
                       LogProbs(parameters, golden.Sequences()));
  ASSERT_EQ(results.size(), golden.rows.size());
  for (size_t i = 0; i < results.size(); ++i) {
    const auto expected =
        golden.numbers["log_probs"][i].get<std::vector<double>>();
    ASSERT_EQ(results[i].tokens.size(), expected.size());
    double sum = 0;
    for (size_t t = 0; t < expected.size(); ++t) {
      EXPECT_NEAR(results[i].tokens[t], expected[t], kTokenTolerance);
      sum += expected[t];
    }
    EXPECT_NEAR(results[i].sum, sum, 1e-3);
  }
}

INSTANTIATE_TEST_SUITE_P(Models, ScoreTest,
                         ::testing::ValuesIn(CausalGoldens()), GoldenTestName);

class RewardsTest : public ::testing::TestWithParam<std::string> {};

TEST_P(RewardsTest, EqualTheReference) {
  const auto directory = GoldenDirectory(GetParam());
  ASSERT_OK_AND_ASSIGN(const Parameters parameters,
                       LoadModel(directory, at::kFloat));
  ASSERT_OK_AND_ASSIGN(const Golden golden, ReadGolden(directory));
  ASSERT_OK_AND_ASSIGN(const std::vector<double> rewards,
                       Rewards(parameters, golden.Sequences()));
  const auto expected = golden.numbers["rewards"].get<std::vector<double>>();
  ASSERT_EQ(rewards.size(), expected.size());
  for (size_t i = 0; i < rewards.size(); ++i) {
    EXPECT_NEAR(rewards[i], expected[i], 2e-5);
  }
}

INSTANTIATE_TEST_SUITE_P(Models, RewardsTest,
                         ::testing::ValuesIn(RewardGoldens()), GoldenTestName);

// Without and with what some families have: biases, norms of heads.
enum class Parts { kPlain, kAll };

// A model whose extents are no multiples of vectors or cache lines.
Parameters OddModel(Head head, Parts parts = Parts::kPlain) {
  const bool all = parts == Parts::kAll;
  Parameters parameters = MakeParameters({.head = head,
                                          .hidden_size = 44,
                                          .intermediate_size = 86,
                                          .num_layers = 3,
                                          .num_heads = 6,
                                          .num_kv_heads = 3,
                                          .head_dim = 10,
                                          .vocabulary_size = 211,
                                          .max_positions = 700,
                                          .qkv_bias = all,
                                          .output_bias = all,
                                          .qk_norm = all},
                                         at::kFloat);
  InitializeRandomly(5, parameters);
  parameters.flat.mul_(8);
  if (all) parameters.flat.add_(0.05);  // so that no bias is 0
  return parameters;
}

struct Ids {
  std::vector<uint32_t> prompt, response;
  Sequence View() const { return {prompt, response}; }
};

std::vector<Ids> RandomRows(size_t count, size_t longest, uint32_t seed) {
  std::mt19937 random(seed);
  const auto draw = [&](size_t bound) { return random() % bound; };
  std::vector<Ids> rows(count);
  for (Ids& row : rows) {
    row.prompt.resize(1 + draw(longest));
    row.response.resize(1 + draw(longest));
    for (uint32_t& id : row.prompt) id = static_cast<uint32_t>(draw(211));
    for (uint32_t& id : row.response) id = static_cast<uint32_t>(draw(211));
  }
  return rows;
}

std::vector<Sequence> Views(const std::vector<Ids>& rows) {
  std::vector<Sequence> views;
  for (const Ids& row : rows) views.push_back(row.View());
  return views;
}

void ExpectSameBits(const ResponseLogProbs& a, const ResponseLogProbs& b) {
  EXPECT_EQ(a.sum, b.sum);
  EXPECT_EQ(a.tokens, b.tokens);
}

class BatchInvarianceTest : public ::testing::TestWithParam<Parts> {};

INSTANTIATE_TEST_SUITE_P(Parts, BatchInvarianceTest,
                         ::testing::Values(Parts::kPlain, Parts::kAll));

TEST_P(BatchInvarianceTest, RowsScoreTheSameAloneTogetherAndShuffled) {
  const Parameters parameters = OddModel(Head::kCausalLm, GetParam());
  // More than one internal batch, rows over several tiles.
  std::vector<Ids> rows = RandomRows(40, 120, 11);
  ASSERT_OK_AND_ASSIGN(const auto together, LogProbs(parameters, Views(rows)));
  for (size_t i = 0; i < rows.size(); i += 7) {
    const Sequence one[] = {rows[i].View()};
    ASSERT_OK_AND_ASSIGN(const auto alone, LogProbs(parameters, one));
    ExpectSameBits(alone[0], together[i]);
  }
  std::vector<size_t> order(rows.size());
  for (size_t i = 0; i < order.size(); ++i) order[i] = i;
  std::shuffle(order.begin(), order.end(), std::mt19937(3));
  std::vector<Sequence> shuffled;
  for (const size_t i : order) shuffled.push_back(rows[i].View());
  ASSERT_OK_AND_ASSIGN(const auto results, LogProbs(parameters, shuffled));
  for (size_t i = 0; i < order.size(); ++i) {
    ExpectSameBits(results[i], together[order[i]]);
  }
}

TEST_P(BatchInvarianceTest, ARowScoresTheSameAtEveryPositionOfATile) {
  const Parameters parameters = OddModel(Head::kCausalLm, GetParam());
  const std::vector<Ids> rows = RandomRows(2, 9, 2);
  const Sequence alone[] = {rows[0].View()};
  ASSERT_OK_AND_ASSIGN(const auto expected, LogProbs(parameters, alone));
  Ids before = rows[1];
  before.prompt.resize(1);
  before.response.resize(1);
  for (int shift = 1; shift <= 260; shift += 11) {
    before.response.resize(static_cast<size_t>(shift), 9);
    const Sequence pair[] = {before.View(), rows[0].View()};
    ASSERT_OK_AND_ASSIGN(const auto results, LogProbs(parameters, pair));
    ExpectSameBits(results[1], expected[0]);
  }
}

TEST_P(BatchInvarianceTest, RewardsDoNotDependOnNeighbours) {
  const Parameters parameters = OddModel(Head::kReward, GetParam());
  const std::vector<Ids> rows = RandomRows(280, 30, 4);
  ASSERT_OK_AND_ASSIGN(const auto together, Rewards(parameters, Views(rows)));
  for (size_t i = 0; i < rows.size(); i += 31) {
    const Sequence one[] = {rows[i].View()};
    ASSERT_OK_AND_ASSIGN(const auto alone, Rewards(parameters, one));
    EXPECT_EQ(alone[0], together[i]);
  }
}

// Rows of which several have the same prompt, each with its own copy of it; the
// first prompt has more responses than one internal batch holds.
std::vector<Ids> RowsThatSharePrompts() {
  const std::vector<Ids> prompts = RandomRows(9, 90, 21);
  std::vector<Ids> rows = RandomRows(150, 80, 22);
  for (size_t i = 0; i < rows.size(); ++i) {
    const size_t prompt = i < 110 ? 0 : i % prompts.size();
    rows[i].prompt = prompts[prompt].prompt;
  }
  rows[3].response.resize(1);
  rows[140].response.resize(1);
  std::shuffle(rows.begin(), rows.end(), std::mt19937(23));
  return rows;
}

TEST_P(BatchInvarianceTest, ASharedPromptChangesNoBit) {
  const Parameters policy = OddModel(Head::kCausalLm, GetParam());
  const Parameters judge = OddModel(Head::kReward, GetParam());
  const std::vector<Ids> rows = RowsThatSharePrompts();
  ASSERT_OK_AND_ASSIGN(const auto together, LogProbs(policy, Views(rows)));
  ASSERT_OK_AND_ASSIGN(const auto rewards, Rewards(judge, Views(rows)));
  for (size_t i = 0; i < rows.size(); i += 9) {
    const Sequence one[] = {rows[i].View()};
    ASSERT_OK_AND_ASSIGN(const auto alone, LogProbs(policy, one));
    ExpectSameBits(alone[0], together[i]);
    ASSERT_OK_AND_ASSIGN(const auto reward, Rewards(judge, one));
    EXPECT_EQ(reward[0], rewards[i]);
  }
}

// The oracle: each row as one plain sequence through the training path.
at::Tensor HiddenStatesAlone(const Parameters& parameters, const Ids& row) {
  std::vector<int64_t> ids(row.prompt.begin(), row.prompt.end());
  ids.insert(ids.end(), row.response.begin(), row.response.end());
  const int64_t bounds[] = {0, static_cast<int64_t>(ids.size())};
  return Forward(parameters, at::tensor(ids, at::kLong), bounds);
}

TEST_P(BatchInvarianceTest, BlocksScoreAsPlainSequencesDo) {
  const Parameters policy = OddModel(Head::kCausalLm, GetParam());
  const Parameters judge = OddModel(Head::kReward, GetParam());
  const std::vector<Ids> rows = RowsThatSharePrompts();
  ASSERT_OK_AND_ASSIGN(const auto scores, LogProbs(policy, Views(rows)));
  ASSERT_OK_AND_ASSIGN(const auto rewards, Rewards(judge, Views(rows)));
  for (size_t i = 0; i < rows.size(); i += 11) {
    const auto prompt = static_cast<int64_t>(rows[i].prompt.size());
    const auto response = static_cast<int64_t>(rows[i].response.size());
    const at::Tensor logits = HiddenStatesAlone(policy, rows[i])
                                  .narrow(0, prompt - 1, response)
                                  .mm(policy.lm_head.t());
    const at::Tensor log_probs = at::log_softmax(logits.to(at::kDouble), 1);
    double sum = 0;
    for (int64_t t = 0; t < response; ++t) {
      const auto id = rows[i].response[static_cast<size_t>(t)];
      const double expected = log_probs[t][id].item<double>();
      sum += expected;
      EXPECT_NEAR(scores[i].tokens[static_cast<size_t>(t)], expected,
                  kTokenTolerance);
    }
    EXPECT_NEAR(scores[i].sum, sum, 1e-3);
    const double reward =
        HiddenStatesAlone(judge, rows[i])[prompt + response - 1]
            .dot(judge.score.view({-1}))
            .item<double>();
    EXPECT_NEAR(rewards[i], reward, 1e-3);
  }
}

TEST(ScoreErrorsTest, NamesTheSequenceThatCannotBeScored) {
  Parameters parameters = OddModel(Head::kCausalLm);
  const std::vector<uint32_t> some = {1, 2, 3}, none, outside = {211};
  const std::vector<uint32_t> longer(698, 1);
  const Sequence good{some, some};
  const auto score = [&](const Sequence& second) {
    const Sequence both[] = {good, second};
    return LogProbs(parameters, both).status();
  };
  EXPECT_OK(score(good));
  EXPECT_THAT(score({none, some}),
              StatusIs(absl::StatusCode::kInvalidArgument,
                       HasSubstr("prompt has no tokens: sequence 1")));
  EXPECT_THAT(score({some, none}),
              StatusIs(absl::StatusCode::kInvalidArgument,
                       HasSubstr("response has no tokens: sequence 1")));
  EXPECT_THAT(
      score({some, outside}),
      StatusIs(absl::StatusCode::kInvalidArgument, HasSubstr("vocabulary")));
  EXPECT_THAT(score({longer, some}),
              StatusIs(absl::StatusCode::kOutOfRange, HasSubstr("sequence 1")));
  parameters.layers[1].down.weight.view({-1})[5] =
      std::numeric_limits<double>::quiet_NaN();
  EXPECT_THAT(score(good),
              StatusIs(absl::StatusCode::kDataLoss, HasSubstr("sequence 0")));
  const Sequence one[] = {good};
  EXPECT_THAT(Rewards(parameters, one),
              StatusIs(absl::StatusCode::kInvalidArgument));
}

TEST(ScoreErrorsTest, NoSequencesGiveNoScores) {
  const Parameters parameters = OddModel(Head::kCausalLm);
  ASSERT_OK_AND_ASSIGN(const auto results, LogProbs(parameters, {}));
  EXPECT_TRUE(results.empty());
}

TEST(PretrainedTest, LogProbsEqualThoseOfItsGolden) {
  REQUIRE_TEST_DATA(directory, "models/stories260k");
  ASSERT_OK_AND_ASSIGN(const Parameters parameters,
                       LoadModel(directory, at::kFloat));
  ASSERT_OK_AND_ASSIGN(const std::string text,
                       base::ReadFile(directory / "golden.json"));
  ASSERT_OK_AND_ASSIGN(const base::Json cases, base::ParseJson(text));
  int compared = 0;
  for (const base::Json& c : cases) {
    const auto ids = c["ids"].get<std::vector<uint32_t>>();
    const auto expected = c["token_logprobs"].get<std::vector<double>>();
    if (expected.empty()) continue;
    const Sequence one[] = {
        {std::span(ids).first(1), std::span(ids).subspan(1)}};
    ASSERT_OK_AND_ASSIGN(const auto results, LogProbs(parameters, one));
    ASSERT_EQ(results[0].tokens.size(), expected.size());
    for (size_t i = 0; i < expected.size(); ++i) {
      EXPECT_NEAR(results[0].tokens[i], expected[i], kTokenTolerance);
      ++compared;
    }
  }
  EXPECT_GT(compared, 20);
}

TEST(PretrainedTest, ContinuesAStoryAsItsGoldenDoes) {
  REQUIRE_TEST_DATA(directory, "models/stories260k");
  ASSERT_OK_AND_ASSIGN(const Parameters parameters,
                       LoadModel(directory, at::kFloat));
  ASSERT_OK_AND_ASSIGN(const std::string text,
                       base::ReadFile(directory / "golden.json"));
  ASSERT_OK_AND_ASSIGN(const base::Json cases, base::ParseJson(text));
  const auto prompt = cases[0]["ids"].get<std::vector<uint32_t>>();
  const auto greedy = cases[0]["greedy_ids"].get<std::vector<uint32_t>>();
  // Each greedy token is the most probable of all 512.
  for (size_t t = 0; t < 3; ++t) {
    std::vector<uint32_t> so_far = prompt;
    so_far.insert(so_far.end(), greedy.begin(),
                  greedy.begin() + static_cast<ptrdiff_t>(t));
    std::vector<uint32_t> ids(512);
    std::vector<Sequence> sequences;
    for (uint32_t id = 0; id < 512; ++id) {
      ids[id] = id;
      sequences.push_back({so_far, std::span(ids).subspan(id, 1)});
    }
    ASSERT_OK_AND_ASSIGN(const auto results, LogProbs(parameters, sequences));
    const auto best = std::max_element(
        results.begin(), results.end(),
        [](const auto& a, const auto& b) { return a.sum < b.sum; });
    EXPECT_EQ(best - results.begin(), greedy[t]);
  }
}

}  // namespace
}  // namespace varalign::model
