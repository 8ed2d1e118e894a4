#include "base/status_macros.h"

#include <gtest/gtest.h>

#include <memory>
#include <stdexcept>

#include "base/exception_boundary.h"
#include "tests/testing/status_matchers.h"

namespace varalign::base {
namespace {

using ::testing::HasSubstr;
using ::varalign::testing::IsOkAndHolds;
using ::varalign::testing::StatusIs;

absl::StatusOr<std::unique_ptr<int>> Make(int value) {
  if (value < 0) return absl::OutOfRangeError("below zero");
  return std::make_unique<int>(value);
}

absl::StatusOr<int> SumOfTwo(int a, int b) {
  ASSIGN_OR_RETURN(const std::unique_ptr<int> first, Make(a));
  ASSIGN_OR_RETURN(const std::unique_ptr<int> second, Make(b));
  return *first + *second;
}

absl::Status Twice(absl::Status first, absl::Status second) {
  RETURN_IF_ERROR(first);
  RETURN_IF_ERROR(second);
  return absl::OkStatus();
}

TEST(StatusMacrosTest, AssignMovesTheValueOrReturns) {
  EXPECT_THAT(SumOfTwo(1, 2), IsOkAndHolds(3));
  EXPECT_THAT(SumOfTwo(1, -2), StatusIs(absl::StatusCode::kOutOfRange));
}

TEST(StatusMacrosTest, ReturnIfErrorReturnsTheFirst) {
  EXPECT_OK(Twice(absl::OkStatus(), absl::OkStatus()));
  EXPECT_THAT(Twice(absl::AbortedError("a"), absl::InternalError("b")),
              StatusIs(absl::StatusCode::kAborted, "a"));
}

TEST(ExceptionBoundaryTest, PassesResultsThrough) {
  EXPECT_OK(CatchExceptions([] { return absl::OkStatus(); }));
  EXPECT_THAT(CatchExceptions([] { return SumOfTwo(1, 2); }), IsOkAndHolds(3));
}

TEST(ExceptionBoundaryTest, TurnsExceptionsIntoStatuses) {
  EXPECT_THAT(
      CatchExceptions([]() -> absl::Status {
        throw std::runtime_error("shape [3] is wrong");
      }),
      StatusIs(absl::StatusCode::kInternal, HasSubstr("shape [3] is wrong")));
  EXPECT_THAT(
      CatchExceptions([]() -> absl::StatusOr<int> { throw std::bad_alloc(); }),
      StatusIs(absl::StatusCode::kResourceExhausted));
}

}  // namespace
}  // namespace varalign::base
