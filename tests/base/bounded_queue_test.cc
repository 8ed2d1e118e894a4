#include "base/bounded_queue.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <memory>
#include <numeric>
#include <thread>
#include <vector>

namespace varalign::base {
namespace {

constexpr absl::Duration kNow = absl::ZeroDuration();
constexpr absl::Duration kLong = absl::Seconds(60);

TEST(BoundedQueueTest, HandsOutInOrder) {
  BoundedQueue<std::unique_ptr<int>> queue(2);
  EXPECT_TRUE(queue.Push(std::make_unique<int>(1), kNow));
  EXPECT_TRUE(queue.Push(std::make_unique<int>(2), kNow));
  EXPECT_EQ(**queue.Pop(kNow), 1);
  EXPECT_EQ(**queue.Pop(kNow), 2);
}

TEST(BoundedQueueTest, RefusesPastTheBound) {
  BoundedQueue<int> queue(1);
  EXPECT_TRUE(queue.Push(1, kNow));
  EXPECT_FALSE(queue.Push(2, absl::Milliseconds(1)));
  EXPECT_EQ(queue.size(), 1u);
  EXPECT_EQ(queue.Pop(kNow), 1);
  EXPECT_TRUE(queue.Push(3, kNow));
}

TEST(BoundedQueueTest, EmptyPopEndsAtItsTimeout) {
  BoundedQueue<int> queue(1);
  EXPECT_EQ(queue.Pop(absl::Milliseconds(1)), std::nullopt);
}

TEST(BoundedQueueTest, CloseLetsTheRestOutAndNothingIn) {
  BoundedQueue<int> queue(2);
  queue.Push(1);
  queue.Close();
  EXPECT_FALSE(queue.Push(2));
  EXPECT_EQ(queue.Pop(), 1);
  EXPECT_EQ(queue.Pop(), std::nullopt);
}

TEST(BoundedQueueTest, CloseWakesThoseWhoWait) {
  BoundedQueue<int> empty(1), full(1);
  full.Push(1);
  std::thread consumer([&] { EXPECT_EQ(empty.Pop(kLong), std::nullopt); });
  std::thread producer([&] { EXPECT_FALSE(full.Push(2, kLong)); });
  empty.Close();
  full.Close();
  consumer.join();
  producer.join();
}

TEST(BoundedQueueTest, ManyThreadsLoseAndDoubleNothing) {
  constexpr int kPerProducer = 2000;
  BoundedQueue<int> queue(3);
  std::vector<std::thread> producers, consumers;
  std::vector<std::vector<int>> taken(3);
  for (int p = 0; p < 3; ++p) {
    producers.emplace_back([&queue, p] {
      for (int i = 0; i < kPerProducer; ++i) {
        ASSERT_TRUE(queue.Push(p * kPerProducer + i, kLong));
      }
    });
    consumers.emplace_back([&queue, &mine = taken[static_cast<size_t>(p)]] {
      while (const auto value = queue.Pop(kLong)) mine.push_back(*value);
    });
  }
  for (std::thread& producer : producers) producer.join();
  queue.Close();
  for (std::thread& consumer : consumers) consumer.join();
  std::vector<int> all, expected(3 * kPerProducer);
  for (const auto& mine : taken)
    all.insert(all.end(), mine.begin(), mine.end());
  std::sort(all.begin(), all.end());
  std::iota(expected.begin(), expected.end(), 0);
  EXPECT_EQ(all, expected);
}

}  // namespace
}  // namespace varalign::base
