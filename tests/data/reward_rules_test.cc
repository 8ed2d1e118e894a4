#include "data/reward_rules.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <limits>

namespace varalign::data {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;

v1::RewardConfig AllRules() {
  v1::RewardConfig config;
  config.mutable_column()->set_name("helpfulness");
  config.mutable_column()->set_weight(0.5);
  config.mutable_pattern()->set_regex("^\\d+$");
  config.mutable_pattern()->set_weight(2);
  config.mutable_length()->set_weight(-0.125);
  config.mutable_exact_match()->set_column("answer");
  config.mutable_exact_match()->set_weight(4);
  return config;
}

TEST(RewardRulesTest, SeveralRulesAddUpWithTheirWeights) {
  const auto rules = RewardRules::Create(AllRules());
  ASSERT_TRUE(rules.ok()) << rules.status();
  EXPECT_EQ(rules->column(), "helpfulness");
  EXPECT_EQ(rules->reference_column(), "answer");
  const std::vector<double> right = rules->Values(
      {.text = " 42\n", .num_tokens = 4, .column = 3, .reference = "42"});
  EXPECT_THAT(right, ElementsAre(3, 1, 4, 1));
  EXPECT_EQ(rules->WeightedSum(right), 1.5 + 2 - 0.5 + 4);
  const std::vector<double> wrong = rules->Values(
      {.text = "it is 42", .num_tokens = 8, .column = -1, .reference = "42"});
  EXPECT_THAT(wrong, ElementsAre(-1, 0, 8, 0));
  EXPECT_EQ(rules->WeightedSum(wrong), -0.5 - 1);
}

TEST(RewardRulesTest, APatternMayMatchAnywhereWithinTheResponse) {
  v1::RewardConfig config;
  config.mutable_pattern()->set_regex("(?i)thank");
  const auto rules = RewardRules::Create(config);
  ASSERT_TRUE(rules.ok());
  EXPECT_THAT(rules->Values({.text = "No. Thanks!"}), ElementsAre(1));
  EXPECT_THAT(rules->Values({.text = "No."}), ElementsAre(0));
}

TEST(RewardRulesTest, NothingGivenIsNoRule) {
  const auto rules = RewardRules::Create({});
  ASSERT_TRUE(rules.ok());
  EXPECT_TRUE(rules->empty());
  EXPECT_FALSE(rules->needs_text());
}

TEST(RewardRulesTest, MistakesNameTheirKey) {
  v1::RewardConfig pattern = AllRules();
  pattern.mutable_pattern()->set_regex("(unclosed");
  EXPECT_THAT(RewardRules::Create(pattern).status().message(),
              HasSubstr("reward.pattern.regex: not a regular expression"));
  for (const double weight : {std::numeric_limits<double>::quiet_NaN(),
                              std::numeric_limits<double>::infinity()}) {
    v1::RewardConfig length = AllRules();
    length.mutable_length()->set_weight(weight);
    EXPECT_THAT(RewardRules::Create(length).status().message(),
                HasSubstr("reward.length.weight: must be finite"));
  }
}

}  // namespace
}  // namespace varalign::data
