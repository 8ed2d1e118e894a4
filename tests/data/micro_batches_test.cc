#include "data/micro_batches.h"

#include "gmock/gmock.h"
#include "gtest/gtest.h"

namespace varalign::data {
namespace {

using ::testing::ElementsAre;
using ::testing::IsEmpty;

TEST(WorkTest, ASharedPromptCountsOnce) {
  const BlockLengths block{.prompt = 10, .responses = {4, 1, 6}};
  const BlockWork apart = WorkOf(block, base::PromptSharing::kOff);
  EXPECT_EQ(apart.tokens, 13u + 10 + 15);
  EXPECT_EQ(apart.pairs, 13 * 13 + 10 * 10 + 15 * 15);
  const BlockWork together = WorkOf(block, base::PromptSharing::kOn);
  EXPECT_EQ(together.tokens, 10u + 3 + 0 + 5);
  EXPECT_EQ(together.pairs, apart.pairs - 2 * 10 * 10);
  EXPECT_LT(CostOf(together), CostOf(apart));
}

TEST(WorkTest, AnExampleWithoutTrainedRowsCostsNothing) {
  const BlockWork work =
      WorkOf({.prompt = 10, .responses = {}}, base::PromptSharing::kOn);
  EXPECT_EQ(work.tokens, 0u);
  EXPECT_EQ(CostOf(work), 0);
}

TEST(TrainedLengthsTest, LeaveOutRowsThatAreNotTrained) {
  const std::vector<uint32_t> ids(9, 1);
  const auto first = [&](size_t count) {
    return std::span<const uint32_t>(ids).first(count);
  };
  ExampleView example{.prompt = first(5)};
  example.rows = {{.response = first(2), .role = base::Role::kChosen},
                  {.response = first(7), .role = base::Role::kRejected}};
  v1::Objective rule;
  rule.set_train_on(v1::Objective::TRAIN_ON_ALL);
  EXPECT_THAT(TrainedLengths(example, rule).responses, ElementsAre(2, 7));
  rule.set_train_on(v1::Objective::TRAIN_ON_CHOSEN);
  EXPECT_THAT(TrainedLengths(example, rule).responses, ElementsAre(2));
  EXPECT_EQ(TrainedLengths(example, rule).prompt, 5u);
  example.rows[0].role = example.rows[1].role = base::Role::kUnknown;
  EXPECT_THAT(TrainedLengths(example, rule).responses, ElementsAre(2, 7));
}

TEST(CutBlockTest, EveryPartHoldsThePromptAndFitsTheBudget) {
  const BlockLengths block{.prompt = 10, .responses = {4, 4, 6, 1, 4}};
  EXPECT_THAT(CutBlock(block, 100), ElementsAre(0));
  EXPECT_THAT(CutBlock(block, 16), ElementsAre(0, 2, 4));
  // Nothing fits: one response each.
  EXPECT_THAT(CutBlock(block, 4), ElementsAre(0, 1, 2, 3, 4));
}

TEST(CutMicroBatchesTest, FillsTheBudgetInOrder) {
  const std::vector<uint64_t> tokens = {4, 4, 2, 5, 5, 1};
  EXPECT_THAT(CutMicroBatches(tokens, 10), ElementsAre(0, 3, 5));
  EXPECT_THAT(CutMicroBatches(tokens, 1000), ElementsAre(0));
  EXPECT_THAT(CutMicroBatches({}, 10), IsEmpty());
}

TEST(CutMicroBatchesTest, RowAboveTheBudgetIsAlone) {
  const std::vector<uint64_t> tokens = {3, 99, 3, 3};
  EXPECT_THAT(CutMicroBatches(tokens, 10), ElementsAre(0, 1, 2));
}

}  // namespace
}  // namespace varalign::data
