#include "reward_server/batch_cut.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>

namespace varalign::reward_server {
namespace {

using ::testing::ElementsAre;

using ::testing::IsEmpty;

constexpr ModelKind kReward = ModelKind::kReward;
constexpr ModelKind kReference = ModelKind::kReference;

TEST(BatchCutTest, FillsTheBudgetInOrder) {
  const std::vector<QueuedWork> queue = {
      {kReward, 4}, {kReward, 4}, {kReward, 2}, {kReward, 1}};
  EXPECT_THAT(CutBatch(queue, 10), ElementsAre(0, 1, 2));
}

TEST(BatchCutTest, TakesAPairThatIsLargerThanTheBudgetAlone) {
  const std::vector<QueuedWork> queue = {{kReward, 40}, {kReward, 1}};
  EXPECT_THAT(CutBatch(queue, 10), ElementsAre(0));
}

TEST(BatchCutTest, LetsNobodyOvertakeAPairThatDidNotFit) {
  const std::vector<QueuedWork> queue = {
      {kReward, 6}, {kReward, 6}, {kReward, 1}};
  EXPECT_THAT(CutBatch(queue, 10), ElementsAre(0));
}

TEST(BatchCutTest, RunsTheModelThatHasWaitedLongest) {
  const std::vector<QueuedWork> queue = {
      {kReference, 3}, {kReward, 3}, {kReference, 3}, {kReward, 3}};
  EXPECT_THAT(CutBatch(queue, 10), ElementsAre(0, 2));
}

TEST(BatchCutTest, EmptyQueueGivesAnEmptyBatch) {
  EXPECT_THAT(CutBatch({}, 10), IsEmpty());
}

// Whatever the queue: batches cover it once, keep the order within a model, and
// exceed the budget only by a pair alone.
TEST(BatchCutTest, CoversAnyQueueOnce) {
  uint64_t state = 7;
  const auto next = [&state](uint64_t bound) {
    state = state * 6364136223846793005u + 1442695040888963407u;
    return (state >> 33) % bound;
  };
  for (int round = 0; round < 200; ++round) {
    std::vector<QueuedWork> queue;
    std::vector<size_t> left;
    for (size_t i = next(40); i > 0; --i) {
      left.push_back(queue.size());
      queue.push_back({next(2) == 0 ? kReward : kReference, 1 + next(30)});
    }
    std::vector<size_t> taken[2];
    while (!left.empty()) {
      std::vector<QueuedWork> view;
      for (const size_t i : left) view.push_back(queue[i]);
      const std::vector<size_t> batch = CutBatch(view, 20);
      ASSERT_FALSE(batch.empty());
      ASSERT_EQ(batch.front(), 0u);
      uint64_t tokens = 0;
      for (const size_t i : batch) {
        tokens += view[i].tokens;
        ASSERT_EQ(view[i].kind, view.front().kind);
        taken[static_cast<size_t>(view[i].kind)].push_back(left[i]);
      }
      ASSERT_TRUE(tokens <= 20 || batch.size() == 1);
      for (auto i = batch.rbegin(); i != batch.rend(); ++i) {
        left.erase(left.begin() + static_cast<ptrdiff_t>(*i));
      }
    }
    EXPECT_TRUE(std::is_sorted(taken[0].begin(), taken[0].end()));
    EXPECT_TRUE(std::is_sorted(taken[1].begin(), taken[1].end()));
    EXPECT_EQ(taken[0].size() + taken[1].size(), queue.size());
  }
}

}  // namespace
}  // namespace varalign::reward_server
