#include "reward_server/batch_cut.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <functional>
#include <random>
#include <set>

namespace varalign::reward_server {
namespace {

using ::testing::ElementsAre;

using ::testing::IsEmpty;

constexpr ModelKind kReward = ModelKind::kReward;
constexpr ModelKind kReference = ModelKind::kReference;

// A pair with a prompt of its own.
QueuedWork Alone(ModelKind kind, uint64_t tokens) {
  static uint64_t prompts = 1000;
  return {kind, ++prompts, tokens - 1, 1};
}

TEST(BatchCutTest, FillsTheBudgetInOrder) {
  const std::vector<QueuedWork> queue = {Alone(kReward, 4), Alone(kReward, 4),
                                         Alone(kReward, 2), Alone(kReward, 1)};
  EXPECT_THAT(CutBatch(queue, 10), ElementsAre(0, 1, 2));
}

TEST(BatchCutTest, TakesAPairThatIsLargerThanTheBudgetAlone) {
  const std::vector<QueuedWork> queue = {Alone(kReward, 40), Alone(kReward, 1)};
  EXPECT_THAT(CutBatch(queue, 10), ElementsAre(0));
}

TEST(BatchCutTest, LetsNoOtherPromptOvertakeAPairThatDidNotFit) {
  const std::vector<QueuedWork> queue = {Alone(kReward, 6), Alone(kReward, 6),
                                         Alone(kReward, 1)};
  EXPECT_THAT(CutBatch(queue, 10), ElementsAre(0));
}

TEST(BatchCutTest, RunsTheModelThatHasWaitedLongest) {
  const std::vector<QueuedWork> queue = {
      Alone(kReference, 3), Alone(kReward, 3), Alone(kReference, 3),
      Alone(kReward, 3)};
  EXPECT_THAT(CutBatch(queue, 10), ElementsAre(0, 2));
}

// A response of every prompt, then the next of every prompt: as cross Z-sets
// may come.
TEST(BatchCutTest, BringsTheResponsesOfAPromptTogether) {
  std::vector<QueuedWork> queue;
  for (int response = 0; response < 3; ++response) {
    for (uint64_t prompt = 0; prompt < 4; ++prompt) {
      queue.push_back({kReward, prompt, 10, 2});
    }
  }
  // Two prompts with three responses each cost 32.
  EXPECT_THAT(CutBatch(queue, 32), ElementsAre(0, 1, 4, 5, 8, 9));
  // The prompt counts once; a block may be cut.
  EXPECT_THAT(CutBatch(queue, 14), ElementsAre(0, 4));
}

TEST(BatchCutTest, EmptyQueueGivesAnEmptyBatch) {
  EXPECT_THAT(CutBatch({}, 10), IsEmpty());
}

uint64_t Cost(const std::vector<QueuedWork>& queue,
              const std::vector<size_t>& batch) {
  std::set<uint64_t> prompts;
  uint64_t tokens = 0;
  for (const size_t i : batch) {
    tokens += queue[i].response_tokens;
    if (prompts.insert(queue[i].prompt).second)
      tokens += queue[i].prompt_tokens;
  }
  return tokens;
}

// Whatever the queue: batches cover it once, take whoever has waited longest,
// and exceed the budget only by a pair alone.
TEST(BatchCutTest, CoversAnyQueueOnce) {
  std::mt19937 random(7);
  const auto next = [&random](uint64_t bound) { return random() % bound; };
  for (int round = 0; round < 200; ++round) {
    std::vector<QueuedWork> queue;
    for (uint64_t i = next(40); i > 0; --i) {
      const uint64_t prompt = next(8);
      queue.push_back({next(2) == 0 ? kReward : kReference, prompt, 1 + prompt,
                       1 + next(20)});
    }
    while (!queue.empty()) {
      const std::vector<size_t> batch = CutBatch(queue, 20);
      ASSERT_FALSE(batch.empty());
      ASSERT_EQ(batch.front(), 0u);
      ASSERT_TRUE(std::adjacent_find(batch.begin(), batch.end(),
                                     std::greater_equal<>()) == batch.end());
      ASSERT_TRUE(Cost(queue, batch) <= 20 || batch.size() == 1);
      for (auto i = batch.rbegin(); i != batch.rend(); ++i) {
        ASSERT_EQ(queue[*i].kind, queue.front().kind);
        queue.erase(queue.begin() + static_cast<ptrdiff_t>(*i));
      }
    }
  }
}

}  // namespace
}  // namespace varalign::reward_server
