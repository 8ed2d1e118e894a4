#include "model/sampler.h"

#include <cmath>
#include <map>
#include <vector>

#include "tests/testing/status_matchers.h"

namespace varalign::model {
namespace {

using ::testing::HasSubstr;
using ::varalign::testing::IsOk;
using ::varalign::testing::StatusIs;

// Probabilities 0.1, 0.4, 0.2, 0.3.
const std::vector<float> kLogits = {std::log(0.1f), std::log(0.4f),
                                    std::log(0.2f), std::log(0.3f)};

std::map<uint32_t, double> Shares(const SamplingOptions& options) {
  std::map<uint32_t, double> shares;
  for (const Candidate& candidate : Candidates(kLogits, options)) {
    shares[candidate.token] = candidate.probability;
  }
  return shares;
}

void ExpectShares(const SamplingOptions& options,
                  const std::map<uint32_t, double>& expected) {
  const std::map<uint32_t, double> shares = Shares(options);
  ASSERT_EQ(shares.size(), expected.size());
  for (const auto& [token, share] : expected) {
    EXPECT_NEAR(shares.at(token), share, 1e-6) << token;
  }
}

TEST(SamplerTest, WithoutLimitsAllTokensHaveTheirProbability) {
  ExpectShares({}, {{0, 0.1}, {1, 0.4}, {2, 0.2}, {3, 0.3}});
}

TEST(SamplerTest, TemperatureZeroTakesTheLargestAndOfEqualsTheFirst) {
  ExpectShares({.temperature = 0}, {{1, 1.0}});
  const std::vector<float> equal = {1, 2, 2};
  EXPECT_EQ(ChooseToken(equal, {.temperature = 0}, 0.99), 1u);
}

TEST(SamplerTest, TemperatureSharpens) {
  // p^2 / sum p^2.
  ExpectShares(
      {.temperature = 0.5},
      {{0, 0.01 / 0.3}, {1, 0.16 / 0.3}, {2, 0.04 / 0.3}, {3, 0.09 / 0.3}});
}

TEST(SamplerTest, TopKKeepsTheLargest) {
  ExpectShares({.top_k = 2}, {{1, 4.0 / 7}, {3, 3.0 / 7}});
  ExpectShares({.top_k = 9}, {{0, 0.1}, {1, 0.4}, {2, 0.2}, {3, 0.3}});
}

TEST(SamplerTest, TopPKeepsTheFewestThatReachIt) {
  ExpectShares({.top_p = 0.3}, {{1, 1.0}});
  ExpectShares({.top_p = 0.6}, {{1, 4.0 / 7}, {3, 3.0 / 7}});
  ExpectShares({.top_p = 0.8}, {{1, 4.0 / 9}, {2, 2.0 / 9}, {3, 3.0 / 9}});
  ExpectShares({.top_p = 1e-9}, {{1, 1.0}});
}

TEST(SamplerTest, TopPIsTakenOfWhatTopKLeft) {
  // 4/7 = 0.571 of the two that are left.
  ExpectShares({.top_k = 2, .top_p = 0.55}, {{1, 1.0}});
}

TEST(SamplerTest, DrawsHaveTheProbabilitiesOfTheCandidates) {
  const SamplingOptions options = {.top_k = 3, .top_p = 0.95};
  std::map<uint32_t, int> counts;
  constexpr int kDraws = 200000;
  for (int i = 0; i < kDraws; ++i) {
    const double uniform = UniformNumber(7, 3, static_cast<uint64_t>(i));
    ++counts[ChooseToken(kLogits, options, uniform)];
  }
  const std::map<uint32_t, double> shares = Shares(options);
  ASSERT_EQ(counts.size(), shares.size());
  for (const auto& [token, share] : shares) {
    const double sd = std::sqrt(share * (1 - share) / kDraws);
    EXPECT_NEAR(counts[token] / double{kDraws}, share, 5 * sd) << token;
  }
}

TEST(SamplerTest, RandomNumbersDependOnSeedStreamAndStep) {
  EXPECT_EQ(UniformNumber(1, 2, 3), UniformNumber(1, 2, 3));
  EXPECT_NE(UniformNumber(1, 2, 3), UniformNumber(2, 2, 3));
  EXPECT_NE(UniformNumber(1, 2, 3), UniformNumber(1, 3, 3));
  EXPECT_NE(UniformNumber(1, 2, 3), UniformNumber(1, 2, 4));
  EXPECT_NE(UniformNumber(1, 2, 3), UniformNumber(1, 3, 2));
}

TEST(SamplerTest, RefusesOptionsOutOfRange) {
  EXPECT_THAT(CheckSampling({}), IsOk());
  EXPECT_THAT(
      CheckSampling({.temperature = -1}),
      StatusIs(absl::StatusCode::kInvalidArgument, HasSubstr("temperature")));
  EXPECT_THAT(
      CheckSampling({.temperature = NAN}),
      StatusIs(absl::StatusCode::kInvalidArgument, HasSubstr("temperature")));
  for (const double p : {0.0, 1.5, -0.1, double{NAN}}) {
    EXPECT_THAT(
        CheckSampling({.top_p = p}),
        StatusIs(absl::StatusCode::kInvalidArgument, HasSubstr("top-p")));
  }
}

}  // namespace
}  // namespace varalign::model
