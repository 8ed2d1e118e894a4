#include "optim/schedule.h"

#include <gtest/gtest.h>

#include <cmath>
#include <numbers>

namespace varalign::optim {
namespace {

constexpr ScheduleOptions With(Shape shape) {
  return {.shape = shape, .peak = 2, .warmup_steps = 4, .total_steps = 14};
}

TEST(ScheduleTest, WarmsUpToThePeak) {
  for (const Shape shape : {Shape::kConstant, Shape::kLinear, Shape::kCosine}) {
    EXPECT_EQ(LearningRate(0, With(shape)), 0.5);
    EXPECT_EQ(LearningRate(1, With(shape)), 1);
    EXPECT_EQ(LearningRate(3, With(shape)), 2);
    EXPECT_EQ(LearningRate(4, With(shape)), 2);
  }
}

TEST(ScheduleTest, FallsToZeroAtTheEnd) {
  EXPECT_DOUBLE_EQ(LearningRate(9, With(Shape::kLinear)), 1);
  EXPECT_DOUBLE_EQ(LearningRate(13, With(Shape::kLinear)), 0.2);
  EXPECT_DOUBLE_EQ(LearningRate(9, With(Shape::kCosine)), 1);
  EXPECT_DOUBLE_EQ(LearningRate(13, With(Shape::kCosine)),
                   1 + std::cos(0.9 * std::numbers::pi));
  EXPECT_EQ(LearningRate(14, With(Shape::kLinear)), 0);
  EXPECT_EQ(LearningRate(100, With(Shape::kCosine)), 0);
  EXPECT_EQ(LearningRate(100, With(Shape::kConstant)), 2);
}

TEST(ScheduleTest, WithoutWarmupStartsAtThePeak) {
  EXPECT_EQ(LearningRate(0, {.peak = 3, .total_steps = 1}), 3);
}

TEST(ScheduleTest, WarmupPastTheEndOnlyRises) {
  const ScheduleOptions options = {
      .shape = Shape::kLinear, .peak = 1, .warmup_steps = 8, .total_steps = 4};
  for (uint64_t step = 0; step < 4; ++step) {
    EXPECT_EQ(LearningRate(step, options), static_cast<double>(step + 1) / 8);
  }
}

}  // namespace
}  // namespace varalign::optim
