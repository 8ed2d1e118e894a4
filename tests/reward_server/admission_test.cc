#include "reward_server/admission.h"

#include <gtest/gtest.h>

#include "tests/testing/status_matchers.h"

namespace varalign::reward_server {
namespace {

using ::testing::HasSubstr;
using varalign::testing::StatusIs;

TEST(AdmissionTest, DecidesOneSituationEach) {
  const struct {
    const char* situation;
    AdmissionView view;  // in flight, bound, tokens per second
    uint64_t tokens;
    absl::Duration time_left;
    Verdict verdict;
  } kCases[] = {
      {"fits exactly", {60, 100, 0}, 40, absl::Seconds(1), Verdict::kAdmit},
      {"one token too many",
       {60, 100, 0},
       41,
       absl::Seconds(1),
       Verdict::kNoRoom},
      {"larger than the bound, alone",
       {0, 100, 0},
       1000,
       absl::Seconds(1),
       Verdict::kAdmit},
      {"larger than the bound, not alone",
       {1, 100, 0},
       1000,
       absl::Seconds(1),
       Verdict::kNoRoom},
      {"all known already, no room",
       {200, 100, 0},
       0,
       absl::Seconds(1),
       Verdict::kAdmit},
      {"all known already, too late",
       {0, 100, 0},
       0,
       absl::ZeroDuration(),
       Verdict::kTooLate},
      {"deadline passed", {0, 100, 0}, 1, absl::Seconds(-1), Verdict::kTooLate},
      {"done at the deadline",
       {50, 100, 10},
       50,
       absl::Seconds(10),
       Verdict::kAdmit},
      {"done after the deadline",
       {50, 100, 10},
       50,
       absl::Seconds(9),
       Verdict::kTooLate},
      {"too slow by the estimate, alone",
       {0, 100, 10},
       50,
       absl::Seconds(1),
       Verdict::kAdmit},
      {"no overflow",
       {1, ~uint64_t{0}, 0},
       ~uint64_t{0},
       absl::Seconds(1),
       Verdict::kNoRoom},
  };
  for (const auto& c : kCases) {
    EXPECT_EQ(Decide(c.view, c.tokens, c.time_left).verdict, c.verdict)
        << c.situation;
  }
}

TEST(AdmissionTest, RefusalSaysWhenToTryAgain) {
  const AdmissionView view = {60, 100, 20};
  const Admission admission = Decide(view, 50, absl::Hours(1));
  const absl::Status status = Refusal(admission, view, 50);
  EXPECT_THAT(status, StatusIs(absl::StatusCode::kResourceExhausted,
                               HasSubstr("try again in 3000 ms")));
  EXPECT_EQ(RetryAfter(status), absl::Seconds(3));
}

TEST(AdmissionTest, LateRefusalSaysHowLongTheQueueIs) {
  const AdmissionView view = {60, 100, 20};
  const Admission admission = Decide(view, 50, absl::Seconds(1));
  const absl::Status status = Refusal(admission, view, 50);
  EXPECT_THAT(status, StatusIs(absl::StatusCode::kDeadlineExceeded,
                               HasSubstr("estimated wait 3s")));
  EXPECT_EQ(RetryAfter(status), std::nullopt);
}

TEST(RateMeterTest, KnowsNothingFromTheFirstBatches) {
  RateMeter meter;
  for (int i = 0; i < 7; ++i) meter.Add(100, absl::Seconds(1));
  EXPECT_EQ(meter.TokensPerSecond(), 0);
  meter.Add(100, absl::Seconds(1));
  EXPECT_NEAR(meter.TokensPerSecond(), 100, 1e-9);
}

TEST(RateMeterTest, FollowsTheRecentBatches) {
  RateMeter meter;
  for (int i = 0; i < 50; ++i) meter.Add(100, absl::Seconds(1));
  for (int i = 0; i < 50; ++i) meter.Add(100, absl::Seconds(2));
  EXPECT_NEAR(meter.TokensPerSecond(), 50, 1);
}

}  // namespace
}  // namespace varalign::reward_server
