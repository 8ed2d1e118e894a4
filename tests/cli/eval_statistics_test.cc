#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "cli/eval/statistics.h"

namespace varalign::cli {
namespace {

TEST(MeanOfTest, HasTheNormalIntervalOfTheSampleVariance) {
  const Estimate estimate = MeanOf(std::vector<double>{1, 2, 3, 4});
  EXPECT_EQ(estimate.value, 2.5);
  EXPECT_NEAR(estimate.standard_error, 0.645497224, 1e-9);  // sqrt(5/3)/2
  EXPECT_NEAR(estimate.low, 2.5 - 1.959963985 * 0.645497224, 1e-8);
  EXPECT_NEAR(estimate.high, 2.5 + 1.959963985 * 0.645497224, 1e-8);
  EXPECT_EQ(estimate.n, 4u);
  EXPECT_EQ(MeanOf(std::vector<double>{7}).high, 7);
  EXPECT_EQ(MeanOf({}).n, 0u);
}

// 8 of 10: the textbook's interval.
TEST(ShareOfTest, IsWilsonsInterval) {
  const Estimate estimate =
      ShareOf(std::vector<double>{1, 1, 1, 1, 1, 1, 1, 1, 0, 0});
  EXPECT_EQ(estimate.value, 0.8);
  EXPECT_NEAR(estimate.low, 0.4901625, 1e-6);
  EXPECT_NEAR(estimate.high, 0.9433178, 1e-6);
}

TEST(ShareOfTest, StaysWithinItsBoundsAndKnowsThatFewProveLittle) {
  const Estimate all = ShareOf(std::vector<double>{1, 1, 1});
  EXPECT_EQ(all.high, 1);
  EXPECT_LT(all.low, 0.5);
  const Estimate none = ShareOf(std::vector<double>{0, 0, 0});
  EXPECT_EQ(none.low, 0);
  EXPECT_GT(none.high, 0.5);
}

TEST(QuantileTest, IsLinearBetweenNeighbours) {
  const std::vector<double> values = {4, 1, 3, 2};
  EXPECT_EQ(Quantile(values, 0), 1);
  EXPECT_EQ(Quantile(values, 0.5), 2.5);
  EXPECT_NEAR(Quantile(values, 0.9), 3.7, 1e-12);
  EXPECT_EQ(Quantile(values, 1), 4);
  EXPECT_EQ(Quantile({5}, 0.9), 5);
}

TEST(DistinctShareTest, CountsDifferentGramsOverAll) {
  const std::vector<std::vector<uint32_t>> texts = {{1, 2, 1, 2}, {1, 2}};
  EXPECT_NEAR(DistinctShare(texts, 1), 2.0 / 6, 1e-12);
  EXPECT_NEAR(DistinctShare(texts, 2), 2.0 / 4, 1e-12);  // 12 21 12, 12
  EXPECT_NEAR(DistinctShare(texts, 3), 1, 1e-12);
  EXPECT_EQ(DistinctShare(texts, 5), 0);
}

TEST(LengthBucketTest, DoublesFromSixteenOn) {
  EXPECT_EQ(LengthBucketOf(0), (LengthBucket{0, 15}));
  EXPECT_EQ(LengthBucketOf(15), (LengthBucket{0, 15}));
  EXPECT_EQ(LengthBucketOf(16), (LengthBucket{16, 31}));
  EXPECT_EQ(LengthBucketOf(31), (LengthBucket{16, 31}));
  EXPECT_EQ(LengthBucketOf(1000), (LengthBucket{512, 1023}));
}

}  // namespace
}  // namespace varalign::cli
