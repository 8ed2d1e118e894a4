#include "model/row_kernels.h"

#include <gtest/gtest.h>

#include <cmath>
#include <random>
#include <vector>

#include "model/vector_math.h"

namespace varalign::model {
namespace {

std::vector<float> Normals(size_t count, uint32_t seed) {
  std::mt19937 engine(seed);
  std::normal_distribution<float> normal;
  std::vector<float> values(count);
  for (float& value : values) value = normal(engine);
  return values;
}

TEST(RowKernelsTest, ExpIsExactToTwoUnitsInTheLastPlace) {
  for (double x = -87; x < 88; x += 0.0137) {
    const auto argument = static_cast<float>(x);
    const double exact = std::exp(static_cast<double>(argument));
    EXPECT_NEAR(Exp(argument) / exact, 1, 2.4e-7) << argument;
  }
  EXPECT_EQ(Exp(0.0f), 1.0f);
  EXPECT_EQ(Exp(-200.0f), 0.0f);
  EXPECT_EQ(Exp(-INFINITY), 0.0f);
  EXPECT_TRUE(std::isfinite(Exp(1e10f)));
  EXPECT_TRUE(std::isnan(Exp(NAN)));
}

TEST(RowKernelsTest, LogSumExpOfShiftedRowsIsShifted) {
  std::vector<float> row = Normals(1234, 1);
  double sum = 0;
  for (const float value : row) sum += std::exp(static_cast<double>(value));
  EXPECT_NEAR(LogSumExp(row.data(), 1234), std::log(sum), 1e-6);
  for (float& value : row) value += 1024;
  EXPECT_NEAR(LogSumExp(row.data(), 1234), std::log(sum) + 1024, 1e-4);
  row[77] = NAN;
  EXPECT_TRUE(std::isnan(LogSumExp(row.data(), 1234)));
}

// A row's bits do not depend on where in a buffer it stands.
TEST(RowKernelsTest, RowsDoNotDependOnTheirPlace) {
  constexpr int64_t kRows = 37;
  constexpr int64_t kWidth = 43;  // no multiple of any vector
  const std::vector<float> one = Normals(2 * kWidth, 3);
  std::vector<float> gate_up, out(kRows * kWidth);
  for (int64_t i = 0; i < kRows; ++i) {
    gate_up.insert(gate_up.end(), one.begin(), one.end());
  }
  SwiGluRows(gate_up.data(), kWidth, 0, 5, out.data());
  SwiGluRows(gate_up.data(), kWidth, 5, kRows, out.data());
  std::vector<float> x(kRows * kWidth), y(kRows * kWidth), r(kRows);
  AddNormRows({.residual = out.data(),
               .delta = nullptr,
               .weight = one.data(),
               .x = x.data(),
               .y = y.data(),
               .r = r.data(),
               .width = kWidth,
               .eps = 1e-5f},
              0, kRows);
  for (int64_t row = 1; row < kRows; ++row) {
    for (int64_t i = 0; i < kWidth; ++i) {
      ASSERT_EQ(out[static_cast<size_t>(row * kWidth + i)],
                out[static_cast<size_t>(i)]);
      ASSERT_EQ(y[static_cast<size_t>(row * kWidth + i)],
                y[static_cast<size_t>(i)]);
    }
  }
}

TEST(RowKernelsTest, CausalSoftmaxHidesTheFuture) {
  std::vector<float> scores(3 * 8, 0.0f);
  float lse[3];
  CausalSoftmax({.scores = scores.data(),
                 .stride = 8,
                 .rows = 3,
                 .columns = 7,
                 .first = 4},
                lse);
  EXPECT_FLOAT_EQ(scores[0], 0.2f);
  EXPECT_FLOAT_EQ(scores[4], 0.2f);
  EXPECT_EQ(scores[5], 0.0f);
  EXPECT_EQ(scores[6], 0.0f);
  EXPECT_FLOAT_EQ(scores[2 * 8 + 6], 1.0f / 7);
  EXPECT_FLOAT_EQ(lse[0], std::log(5.0f));
  EXPECT_FLOAT_EQ(lse[2], std::log(7.0f));
}

}  // namespace
}  // namespace varalign::model
