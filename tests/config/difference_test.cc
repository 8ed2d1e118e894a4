#include "config/difference.h"

#include "gmock/gmock.h"
#include "gtest/gtest.h"

namespace varalign::config {
namespace {

using ::testing::ElementsAre;
using ::testing::IsEmpty;

v1::RunConfig Small() {
  v1::RunConfig config;
  config.set_name("small");
  config.mutable_model()->set_path("/models/small");
  config.mutable_train()->set_learning_rate(2e-6);
  config.mutable_objective()->set_preset(v1::Objective::PRESET_VAR);
  return config;
}

TEST(DifferencesTest, EqualConfigurationsHaveNone) {
  EXPECT_THAT(Differences(Small(), Small()), IsEmpty());
}

TEST(DifferencesTest, NamesEachKeyWithBothValuesAsTheFileWouldHaveThem) {
  v1::RunConfig other = Small();
  other.mutable_train()->set_learning_rate(1e-5);
  other.mutable_objective()->set_preset(v1::Objective::PRESET_SFT);
  other.mutable_eval()->set_path("/data/held-out");
  EXPECT_THAT(Differences(Small(), other),
              testing::UnorderedElementsAre(
                  "train.learning_rate is 2e-06, not 1e-05",
                  "objective.preset is var, not sft",
                  "eval.path is not set, not /data/held-out"));
}

// A value that equals the default is not the same as none.
TEST(DifferencesTest, UnsetIsAValueOfItsOwn) {
  v1::RunConfig other = Small();
  other.mutable_train()->set_workers(0);
  EXPECT_THAT(Differences(Small(), other),
              ElementsAre("train.workers is not set, not 0"));
}

}  // namespace
}  // namespace varalign::config
