#include "rpc/backoff.h"

#include <limits>
#include <set>

#include "gtest/gtest.h"

namespace varalign::rpc {
namespace {

constexpr BackoffOptions kPlain = {.initial = absl::Milliseconds(100),
                                   .max = absl::Seconds(2),
                                   .multiplier = 2,
                                   .jitter = 0,
                                   .budget = absl::Seconds(10)};

TEST(BackoffTest, DoublesUpToTheMaximum) {
  const int expected_ms[] = {100, 200, 400, 800, 1600, 2000, 2000};
  for (int attempt = 1; attempt <= 7; ++attempt) {
    EXPECT_EQ(BackoffDelay(kPlain, attempt, 1),
              absl::Milliseconds(expected_ms[attempt - 1]));
  }
  EXPECT_EQ(BackoffDelay(kPlain, std::numeric_limits<int>::max(), 1),
            absl::Seconds(2));
}

TEST(BackoffTest, JitterSpreadsSeedsBelowTheFullDelay) {
  BackoffOptions options = kPlain;
  options.jitter = 0.5;
  std::set<absl::Duration> delays;
  absl::Duration sum;
  for (uint64_t seed = 0; seed < 1000; ++seed) {
    const absl::Duration delay = BackoffDelay(options, 3, seed);
    EXPECT_GT(delay, absl::Milliseconds(200));
    EXPECT_LE(delay, absl::Milliseconds(400));
    delays.insert(delay);
    sum += delay;
  }
  EXPECT_EQ(delays.size(), 1000u);
  EXPECT_NEAR(absl::ToDoubleMilliseconds(sum / 1000), 300, 10);
}

TEST(BackoffTest, IsAFunctionOfItsArguments) {
  BackoffOptions options = kPlain;
  options.jitter = 1;
  EXPECT_EQ(BackoffDelay(options, 2, 7), BackoffDelay(options, 2, 7));
  EXPECT_NE(BackoffDelay(options, 2, 7) * 2, BackoffDelay(options, 3, 7));
}

TEST(RetrierTest, StopsBeforeAnAttemptOutsideTheBudget) {
  Retrier retrier(kPlain, 1);
  EXPECT_EQ(retrier.NextDelay(absl::Seconds(100)), absl::Milliseconds(100));
  EXPECT_EQ(retrier.NextDelay(absl::Seconds(109.8)), absl::Milliseconds(200));
  EXPECT_EQ(retrier.NextDelay(absl::Seconds(109.8)), std::nullopt);
}

TEST(RetrierTest, HasTheWholeBudgetAgainAfterProgress) {
  Retrier retrier(kPlain, 1);
  EXPECT_NE(retrier.NextDelay(absl::Seconds(100)), std::nullopt);
  EXPECT_EQ(retrier.NextDelay(absl::Seconds(200)), std::nullopt);
  retrier.Reset();
  EXPECT_EQ(retrier.NextDelay(absl::Seconds(201)), absl::Milliseconds(100));
  EXPECT_EQ(retrier.NextDelay(absl::Seconds(210)), absl::Milliseconds(200));
}

}  // namespace
}  // namespace varalign::rpc
