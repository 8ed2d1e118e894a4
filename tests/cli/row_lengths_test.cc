#include "cli/row_lengths.h"

#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "tests/testing/status_matchers.h"

namespace varalign::cli {
namespace {

using ::testing::AllOf;
using ::testing::HasSubstr;
using ::varalign::testing::StatusIs;

RowLengths Of(uint64_t rows, uint64_t too_long) {
  return {.num_rows = rows, .num_too_long = too_long, .limit = 512};
}

TEST(RowLengthsTest, TellsCountShareLimitAndRemedy) {
  EXPECT_EQ(TooLongText(Of(599, 0)), "");
  EXPECT_THAT(
      TooLongText(Of(599, 554)),
      AllOf(HasSubstr("554 of 599 rows (92 %)"), HasSubstr("512 tokens"),
            HasSubstr("more positions"), HasSubstr("--max-length")));
  EXPECT_THAT(TooLongText(Of(1000, 1)), HasSubstr("(0.10 %)"));
}

TEST(RowLengthsTest, HalfOfTheRowsIsWhatOneCanDoWithout) {
  EXPECT_OK(CheckLengths(Of(599, 0), 0));
  EXPECT_OK(CheckLengths(Of(600, 300), 0.01));
  EXPECT_THAT(CheckLengths(Of(600, 301), 0.01),
              StatusIs(absl::StatusCode::kInvalidArgument,
                       HasSubstr("--max-bad-fraction 0.51 ")));
}

TEST(RowLengthsTest, WhatIsAdvisedIsEnough) {
  EXPECT_THAT(CheckLengths(Of(599, 554), 0.92),
              StatusIs(absl::StatusCode::kInvalidArgument,
                       HasSubstr("--max-bad-fraction 0.93 ")));
  EXPECT_OK(CheckLengths(Of(599, 554), 0.93));
  EXPECT_OK(CheckLengths(Of(599, 599), 1));
}

}  // namespace
}  // namespace varalign::cli
