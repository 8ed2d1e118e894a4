#include "data/hh_subset.h"

#include <gtest/gtest.h>

namespace varalign::data {
namespace {

// "harmless-base test 2312"; "" for a file that is none.
std::string Known(const char* file) {
  const auto subset = HhSubsetOf(file);
  if (!subset.has_value()) return "";
  return subset->name + " " + subset->split + " " +
         std::to_string(subset->num_rows);
}

TEST(HhSubsetTest, KnowsTheFilesByTheirNames) {
  EXPECT_EQ(Known("/hh/harmless-base/test.jsonl.gz"),
            "harmless-base test 2312");
  EXPECT_EQ(Known("helpful-base/train.jsonl"), "helpful-base train 43835");
  EXPECT_EQ(Known("hh/helpful-online.test.jsonl.gz"),
            "helpful-online test 1137");
  EXPECT_EQ(Known("helpful-rejection-sampled/train.jsonl.zst"),
            "helpful-rejection-sampled train 52421");
  for (const char* other :
       {"train.jsonl.gz", "-", "", "harmless-base/pairs.jsonl.gz",
        "harmless-base.scored.jsonl.gz", "red-team-attempts/test.jsonl.gz",
        "my-harmless-base/test.jsonl.gz"}) {
    EXPECT_EQ(Known(other), "") << other;
  }
}

TEST(HhSubsetTest, TheSubsetsAddUpToTheWholeSet) {
  const auto rows = [](const char* split) {
    uint64_t sum = 0;
    for (const char* name : {"harmless-base", "helpful-base", "helpful-online",
                             "helpful-rejection-sampled"}) {
      sum += HhSubsetOf(std::string(name) + "." + split + ".jsonl")->num_rows;
    }
    return sum;
  };
  EXPECT_EQ(rows("train"), 160'800u);
  EXPECT_EQ(rows("test"), 8'552u);
}

}  // namespace
}  // namespace varalign::data
