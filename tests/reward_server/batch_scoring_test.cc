#include "reward_server/batch_scoring.h"

#include <gtest/gtest.h>

#include "tests/reward_server/fake_scorer.h"
#include "tests/testing/status_matchers.h"

namespace varalign::reward_server {
namespace {

using ::testing::HasSubstr;
using varalign::testing::StatusIs;

class BatchScoringTest : public ::testing::Test {
 protected:
  std::vector<absl::StatusOr<ModelScore>> Score(
      std::vector<uint32_t> first_tokens) {
    tokens_ = std::move(first_tokens);
    std::vector<TokenPair> pairs;
    for (const uint32_t& token : tokens_) {
      pairs.push_back({{&kPrompt, 1}, {&token, 1}});
    }
    return ScoreBatch(scorer_, ModelKind::kReward, pairs);
  }

  static constexpr uint32_t kPrompt = 5;
  std::vector<uint32_t> tokens_;
  std::shared_ptr<FakeDevice> device_ = std::make_shared<FakeDevice>();
  FakeScorer scorer_{device_};
};

TEST_F(BatchScoringTest, RunsAGoodBatchOnce) {
  const auto scores = Score({1, 2, 3});
  ASSERT_EQ(scores.size(), 3u);
  for (size_t i = 0; i < 3; ++i) {
    ASSERT_OK(scores[i]);
    EXPECT_EQ(scores[i]->value, FakeReward({{&kPrompt, 1}, {&tokens_[i], 1}}));
  }
  EXPECT_EQ(device_->num_batches(), 1u);
}

TEST_F(BatchScoringTest, APairThatIsNotFiniteFailsAlone) {
  const auto scores = Score({1, kNanToken, 3});
  EXPECT_OK(scores[0]);
  EXPECT_THAT(scores[1],
              StatusIs(absl::StatusCode::kDataLoss, HasSubstr("not finite")));
  EXPECT_OK(scores[2]);
}

// RESOURCE_EXHAUSTED would tell the client to send the same pair again.
TEST_F(BatchScoringTest, APairThatDoesNotFitInMemoryFailsAloneAsInternal) {
  const auto scores = Score({1, kOomToken, 3});
  EXPECT_OK(scores[0]);
  EXPECT_THAT(scores[1], StatusIs(absl::StatusCode::kInternal,
                                  HasSubstr("out of memory")));
  EXPECT_OK(scores[2]);
}

class OneTooFew final : public Scorer {
 public:
  absl::StatusOr<std::vector<ModelScore>> Score(
      ModelKind, std::span<const TokenPair> pairs) override {
    return std::vector<ModelScore>(pairs.size() - 1);
  }
};

TEST(BatchScoringCountTest, AWrongNumberOfScoresIsAnError) {
  const uint32_t token = 1;
  const TokenPair pair = {{&token, 1}, {&token, 1}};
  OneTooFew scorer;
  const auto scores = ScoreBatch(scorer, ModelKind::kReward, {&pair, 1});
  ASSERT_EQ(scores.size(), 1u);
  EXPECT_THAT(scores[0], StatusIs(absl::StatusCode::kInternal));
}

}  // namespace
}  // namespace varalign::reward_server
