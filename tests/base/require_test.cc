#include "base/require.h"

#include "gtest/gtest.h"

namespace varalign::base {
namespace {

TEST(RequireTest, EndsTheProcessWithTheReasonInEveryBuild) {
  Require(true, "holds");
  EXPECT_DEATH(Require(false, "a run leaves a state twice"),
               "mistake of the program: a run leaves a state twice");
}

}  // namespace
}  // namespace varalign::base
