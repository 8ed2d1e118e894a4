// Matchers for absl::Status and absl::StatusOr.
//
//   EXPECT_THAT(writer.Commit(), IsOk());
//   EXPECT_THAT(Parse("2"), IsOkAndHolds(2));
//   EXPECT_THAT(Parse("x"), StatusIs(kInvalidArgument, HasSubstr("byte 1")));
//   ASSERT_OK_AND_ASSIGN(const Json json, ParseJson(text));
#ifndef VARALIGN_TESTS_TESTING_STATUS_MATCHERS_H_
#define VARALIGN_TESTS_TESTING_STATUS_MATCHERS_H_

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <ostream>
#include <string>
#include <type_traits>
#include <utility>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "base/status_macros.h"

namespace varalign::testing {

inline const absl::Status& StatusOf(const absl::Status& status) {
  return status;
}
template <typename T>
const absl::Status& StatusOf(const absl::StatusOr<T>& status_or) {
  return status_or.status();
}

MATCHER(IsOk, negation ? "is not ok" : "is ok") {
  *result_listener << "which is " << StatusOf(arg).ToString();
  return arg.ok();
}

// The inner matcher sees the message as std::string.
MATCHER_P2(StatusIs, code, message_matcher,
           "has code " + absl::StatusCodeToString(code) +
               " and a message that " +
               ::testing::DescribeMatcher<std::string>(message_matcher)) {
  const absl::Status& status = StatusOf(arg);
  *result_listener << "which is " << status.ToString();
  return status.code() == code &&
         ::testing::Matches(::testing::MatcherCast<std::string>(
             message_matcher))(std::string(status.message()));
}

inline auto StatusIs(absl::StatusCode code) {
  return StatusIs(code, ::testing::_);
}

MATCHER_P(
    IsOkAndHolds, value_matcher,
    "is ok and has a value that " +
        ::testing::DescribeMatcher<typename std::decay_t<arg_type>::value_type>(
            value_matcher)) {
  if (!arg.ok()) {
    *result_listener << "which is " << arg.status().ToString();
    return false;
  }
  return ::testing::ExplainMatchResult(value_matcher, *arg, result_listener);
}

}  // namespace varalign::testing

#define ASSERT_OK(expression) \
  ASSERT_THAT(expression, ::varalign::testing::IsOk())
#define EXPECT_OK(expression) \
  EXPECT_THAT(expression, ::varalign::testing::IsOk())

// Ends the test function if `expression` is not ok.
#define ASSERT_OK_AND_ASSIGN(declaration, expression)                    \
  VARALIGN_ASSERT_OK_AND_ASSIGN(VARALIGN_CONCAT(varalign_or_, __LINE__), \
                                declaration, expression)
#define VARALIGN_ASSERT_OK_AND_ASSIGN(name, declaration, expression) \
  auto name = (expression);                                          \
  ASSERT_TRUE(name.ok()) << name.status();                           \
  declaration = *std::move(name)

#endif  // VARALIGN_TESTS_TESTING_STATUS_MATCHERS_H_
