#include "config/nearest.h"

#include <string>
#include <vector>

#include "gtest/gtest.h"

namespace varalign::config {
namespace {

TEST(NearestTest, CountsEdits) {
  EXPECT_EQ(EditDistance("", ""), 0u);
  EXPECT_EQ(EditDistance("abc", ""), 3u);
  EXPECT_EQ(EditDistance("", "abc"), 3u);
  EXPECT_EQ(EditDistance("kitten", "sitting"), 3u);
  EXPECT_EQ(EditDistance("learning_rte", "learning_rate"), 1u);
}

TEST(NearestTest, FindsWhatWasMeantAndNothingElse) {
  const std::vector<std::string> keys = {"epochs", "seed", "learning_rate"};
  EXPECT_EQ(Nearest("epoch", keys), "epochs");
  EXPECT_EQ(Nearest("sead", keys), "seed");
  EXPECT_EQ(Nearest("learningrate", keys), "learning_rate");
  EXPECT_EQ(Nearest("lr", keys), "");
  EXPECT_EQ(Nearest("", keys), "");
  EXPECT_EQ(Nearest("completely_other", keys), "");
  EXPECT_EQ(Nearest(std::string(1000, 'x'), keys), "");
  EXPECT_EQ(DidYouMean("sead", keys), "; did you mean 'seed'?");
  EXPECT_EQ(DidYouMean("lr", keys), "");
}

}  // namespace
}  // namespace varalign::config
