#include "cli/eval/eval_summary.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace varalign::cli {
namespace {

using ::testing::HasSubstr;

EvalResponse Response(size_t prompt, std::optional<double> reward,
                      double logprob = -5,
                      std::optional<double> reference = std::nullopt) {
  return {.prompt = prompt,
          .text = "x",
          .ids = {5, 6, 2},
          .logprob_sum = logprob,
          .stopped = true,
          .reward = reward,
          .reference_logprob_sum = reference};
}

// Two responses to a prompt are one observation, their mean.
TEST(SummaryOfTest, CountsPrompts) {
  const std::vector<EvalResponse> responses = {Response(0, 1), Response(0, 3),
                                               Response(1, 4), Response(1, 4)};
  const base::Json summary = SummaryOf(responses, Draws::kFromThePolicy);
  EXPECT_EQ(summary["n"], 2);
  EXPECT_EQ(summary["num_responses"], 4);
  EXPECT_EQ(summary["reward_mean"], 3);
  // Means 2 and 4: standard error 1.
  EXPECT_NEAR(summary["reward_mean_ci"][0].get<double>(), 3 - 1.96, 1e-3);
  EXPECT_EQ(summary["stopped_share"], 1);
}

TEST(SummaryOfTest, DivergenceIsTheMeanLogRatioOfDrawsOfThePolicy) {
  const std::vector<EvalResponse> responses = {Response(0, 1, -5, -6),
                                               Response(1, 1, -5, -5.5)};
  EXPECT_EQ(SummaryOf(responses, Draws::kFromThePolicy)["kl"], 0.75);
  EXPECT_TRUE(SummaryOf(responses, Draws::kTruncated)["kl"].is_null());
}

TEST(SummaryOfTest, WhatCouldNotBeScoredIsCountedAndLeftOut) {
  const std::vector<EvalResponse> responses = {Response(0, 2),
                                               Response(1, std::nullopt)};
  const base::Json summary = SummaryOf(responses, Draws::kFromThePolicy);
  EXPECT_EQ(summary["unscored"], 1);
  EXPECT_EQ(summary["reward_mean"], 2);
}

TEST(CompareTest, TieIsHalfAWin) {
  const std::vector<EvalResponse> ours = {Response(0, 2), Response(1, 1),
                                          Response(2, 1), Response(3, 9)};
  const std::vector<EvalResponse> theirs = {Response(0, 1), Response(1, 1),
                                            Response(2, 2),
                                            Response(3, std::nullopt)};
  const base::Json comparison = Compare(ours, theirs);
  EXPECT_EQ(comparison["wins"], 1);
  EXPECT_EQ(comparison["ties"], 1);
  EXPECT_EQ(comparison["losses"], 1);
  EXPECT_EQ(comparison["win_rate"], 0.5);
}

TEST(PairAccuracyTest, CountsChosenAboveRejected) {
  const base::Json pairs = PairAccuracy(std::vector<double>{1, 0.5, 0, -2});
  EXPECT_EQ(pairs["n"], 4);
  EXPECT_EQ(pairs["correct"], 2);
  EXPECT_EQ(pairs["ties"], 1);
  EXPECT_EQ(pairs["accuracy"], 0.625);
  EXPECT_EQ(pairs["margin_mean"], -0.125);
  EXPECT_THAT(EvalText({{"pairs", pairs}}), HasSubstr("0.625"));
}

}  // namespace
}  // namespace varalign::cli
