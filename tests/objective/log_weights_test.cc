#include "objective/log_weights.h"

#include <algorithm>
#include <limits>
#include <random>

#include "tests/objective/rules.h"

namespace varalign::objective {
namespace {

using ::testing::AllOf;
using ::testing::Each;
using ::testing::EndsWith;
using ::testing::Gt;
using ::testing::HasSubstr;
using ::testing::Le;
using v1::Objective;
using ::varalign::testing::StatusIs;

constexpr double kDigits = 6e-10;  // nine digits are printed

// log pi_ref = (-300, -310, -305), n = (200, 155, 244), r = (1, 2, 0).
const std::vector<Score> kZSet = {
    {1, -300, 200}, {2, -310, 155}, {0, -305, 244}};

TEST(LogWeightsTest, MatchesTheFixtureOfOneZSet) {
  const struct {
    const char* variant;
    Objective rule;
    double alpha;
    Vector weights;
    double ess;
  } kCases[] = {
      {"sum",
       Rule(Objective::REF_LOGP_SUM),
       1,
       {2.992213775, 0.000369269, 0.007416956},
       1.005205},
      {"mean",
       Rule(Objective::REF_LOGP_MEAN),
       1,
       {0.961203327, 1.584756371, 0.454040302},
       2.471497},
      {"none",
       Rule(Objective::REF_LOGP_NONE),
       1,
       {0.734185413, 1.995722867, 0.270091720},
       1.958699},
      {"sum, alpha 0.05",
       Rule(Objective::REF_LOGP_SUM),
       0.05,
       {1.022067783, 1.685104894, 0.292827323},
       2.267032},
  };
  for (const auto& [variant, rule, alpha, weights, ess] : kCases) {
    Objective with_alpha = rule;
    with_alpha.set_alpha(alpha);
    ASSERT_OK_AND_ASSIGN(const ZSetWeights result,
                         LogWeights(kZSet, with_alpha));
    EXPECT_THAT(Exp(result.log_weights), AllNear(weights, kDigits)) << variant;
    EXPECT_NEAR(result.ess, ess, 1e-6) << variant;
    EXPECT_EQ(result.num_clipped, 0u) << variant;
  }
}

TEST(LogWeightsTest, ClipsAndRenormalisesOnce) {
  Objective rule = Rule(Objective::REF_LOGP_NONE);
  rule.set_weight_clip(1.5);
  ASSERT_OK_AND_ASSIGN(ZSetWeights result, LogWeights(kZSet, rule));
  EXPECT_THAT(Exp(result.log_weights),
              AllNear(Vector{0.734185413, 1.5, 0.270091720}, kDigits));
  EXPECT_EQ(result.num_clipped, 1u);

  rule.set_renormalize_after_clip(true);
  ASSERT_OK_AND_ASSIGN(result, LogWeights(kZSet, rule));
  EXPECT_THAT(Exp(result.log_weights),
              AllNear(Vector{0.879517770, 1.796925724, 0.323556506}, kDigits));

  rule.set_convention(Objective::CONVENTION_SUM);
  rule.set_weight_clip(0.5);
  EXPECT_NEAR(Mean(Weights(kZSet, rule)), 1.0 / 3, 1e-15);
}

TEST(LogWeightsTest, MatchesTheFixtureOfOneBatch) {
  // The diagonal: every response under its own prompt.
  const std::vector<Score> batch = {{1, -10, 20}, {0.5, -12, 10}};
  const auto group = OwnPrompts(2);
  EXPECT_THAT(Weights(batch, BatchRule(Objective::REF_LOGP_SUM), group),
              AllNear(Vector{1.848283640, 0.151716360}, kDigits));
  EXPECT_THAT(Weights(batch, BatchRule(Objective::REF_LOGP_MEAN), group),
              AllNear(Vector{1.537049567, 0.462950433}, kDigits));
  EXPECT_THAT(Weights(batch, BatchRule(Objective::REF_LOGP_NONE), group),
              AllNear(Vector{1.244918662, 0.755081338}, kDigits));
}

// Every response under every prompt: a prompt's Z-set is the whole block, and
// its own response's weight is what it trains with.
TEST(LogWeightsTest, MatchesTheFixtureOfCrossedPrompts) {
  const Vector l[] = {{-10, -14}, {-16, -12}}, r[] = {{1, -2}, {-1, 0.5}};
  const uint32_t n[] = {20, 10};
  const struct {
    Objective::RefLogp ref_logp;
    Vector expected;
  } kCases[] = {{Objective::REF_LOGP_SUM, {1.998177898, 1.991859725}},
                {Objective::REF_LOGP_MEAN, {1.960319389, 1.500520211}},
                {Objective::REF_LOGP_NONE, {1.905148254, 1.635148952}}};
  for (const auto& [ref_logp, expected] : kCases) {
    Vector own;
    for (size_t i = 0; i < 2; ++i) {
      std::vector<Score> z_set;
      for (size_t j = 0; j < 2; ++j) z_set.push_back({r[i][j], l[i][j], n[j]});
      own.push_back(Weights(z_set, Rule(ref_logp))[i]);
    }
    EXPECT_THAT(own, AllNear(expected, kDigits));
  }
}

Objective LeaveOneOut(double clip) {
  Objective rule = Rule(Objective::REF_LOGP_NONE);
  rule.set_estimator(Objective::ESTIMATOR_LEAVE_ONE_OUT);
  rule.set_weight_clip(clip);
  return ResolveObjective(rule).value();
}

TEST(LogWeightsTest, LeaveOneOutMatchesTheFixture) {
  EXPECT_THAT(Weights(Rewards({1, 2, 0}), LeaveOneOut(0)),
              AllNear(Vector{0.648054274, 3.974446500, 0.197876040}, kDigits));
  EXPECT_THAT(Weights(Rewards({1, 2, 0}), LeaveOneOut(2)),
              AllNear(Vector{0.648054274, 2, 0.197876040}, kDigits));
}

// Rows that outweigh all others by hundreds of nats keep their digits.
TEST(LogWeightsTest, LeaveOneOutStaysExactAtTheExtremes) {
  ASSERT_OK_AND_ASSIGN(const ZSetWeights weights,
                       LogWeights(Rewards({1000, 0, -1000}), LeaveOneOut(0)));
  EXPECT_THAT(weights.log_weights,
              AllNear(Vector{1000 + std::log(2), -1000 + std::log(2),
                             -2000 + std::log(2)},
                      1e-9));
}

TEST(LogWeightsTest, LeaveOneOutOfOneRowIsAnError) {
  EXPECT_THAT(
      LogWeights(Rewards({1}), LeaveOneOut(0)),
      StatusIs(absl::StatusCode::kInvalidArgument, HasSubstr("two responses")));
}

TEST(LogWeightsTest, BatchCentreIsSeenByAClipAlone) {
  Objective rule = BatchRule(Objective::REF_LOGP_NONE);
  const auto group = OwnPrompts(3);
  const Vector plain = Weights(Rewards({5, 6, 10}), rule, group);
  rule.set_reward_center(Objective::REWARD_CENTER_BATCH);
  EXPECT_THAT(Weights(Rewards({5, 6, 10}), rule, group), AllNear(plain, 1e-12));
  rule.set_reward_clip(1.5);  // of -2, -1, 3
  EXPECT_THAT(Weights(Rewards({5, 6, 10}), rule, group),
              AllNear(Weights(Rewards({-1.5, -1, 1.5}),
                              BatchRule(Objective::REF_LOGP_NONE), group),
                      1e-12));
}

TEST(LogWeightsTest, EnumeratedResponsesGiveTheOptimum) {
  // pi_ref = (0.4, 0.3, 0.2, 0.1), r = (0, 1, 0.5, 2).
  const std::vector<Score> all = {{0, std::log(0.4), 1},
                                  {1, std::log(0.3), 1},
                                  {0.5, std::log(0.2), 1},
                                  {2, std::log(0.1), 1}};
  const struct {
    double lambda, z;
    Vector optimum;
  } kCases[] = {
      {1, 2.284134413, {0.175121043, 0.357021261, 0.144362894, 0.323494802}},
      {0.5, 8.620188199, {0.046402699, 0.257154111, 0.063067807, 0.633375383}},
      {2, 1.423249647, {0.281046969, 0.347526087, 0.180435726, 0.190991217}},
  };
  for (const auto& [lambda, z, optimum] : kCases) {
    Objective rule = Rule(Objective::REF_LOGP_SUM, lambda);
    rule.set_convention(Objective::CONVENTION_SUM);
    ASSERT_OK_AND_ASSIGN(const ZSetWeights result, LogWeights(all, rule));
    EXPECT_THAT(Exp(result.log_weights), AllNear(optimum, kDigits));
    EXPECT_NEAR(result.log_z, std::log(z) - std::log(4), 1e-9);
  }
}

TEST(LogWeightsTest, SumConventionIsTheMeanOverTheSetSize) {
  Objective rule = Rule(Objective::REF_LOGP_MEAN);
  const Vector mean = Weights(kZSet, rule);
  rule.set_convention(Objective::CONVENTION_SUM);
  const Vector sum = Weights(kZSet, rule);
  for (size_t k = 0; k < 3; ++k) EXPECT_NEAR(sum[k], mean[k] / 3, 1e-15);
}

TEST(LogWeightsTest, UncentredBatchRanksPrompts) {
  const Objective rule = BatchRule(Objective::REF_LOGP_NONE);
  const auto group = OwnPrompts(4);
  EXPECT_THAT(Weights(Rewards({0.5, 0, 1.3, 0.6}), rule, group),
              AllNear(Vector{0.810169, 0.491392, 1.803064, 0.895375}, 1e-6));
  EXPECT_THAT(Weights(Rewards({3.5, 0, 1.3, 0.6}), rule, group),
              AllNear(Vector{3.344415, 0.100993, 0.370572, 0.184020}, 1e-6));
}

TEST(LogWeightsTest, PromptCentringTakesTheOffsetOut) {
  const Objective rule = BatchRule(Objective::REF_LOGP_NONE);
  const std::vector<uint32_t> group = {0, 1, 0, 1};
  EXPECT_THAT(Weights(Rewards({5, 1, 4, 0}), rule, group),
              AllNear(Weights(Rewards({1, 1, 0, 0}), rule, group), 1e-14));
}

TEST(LogWeightsTest, SizeOfTheZBlockMatters) {
  std::vector<Score> rows;
  for (int i = 0; i < 32; ++i) rows.push_back({(7 * i % 32 - 15.5) / 8, 0, 1});
  const Objective rule = BatchRule(Objective::REF_LOGP_NONE);
  Vector all = Weights(rows, rule, OwnPrompts(32));
  all.resize(4);
  EXPECT_THAT(all,
              AllNear(Vector{0.079494, 0.190697, 0.457458, 1.097386}, 1e-6));
  EXPECT_THAT(Weights(std::span(rows).first(4), rule, OwnPrompts(4)),
              AllNear(Vector{0.174231, 0.417958, 1.002629, 2.405182}, 1e-6));
}

TEST(LogWeightsTest, RaftGivesTheBestAllAndTiesShare) {
  const Objective rule = Preset(Objective::PRESET_RAFT);
  EXPECT_THAT(Weights(Rewards({1, 2, 0}), rule),
              AllNear(Vector{0, 3, 0}, 1e-15));
  EXPECT_THAT(Weights(Rewards({1, 2, 2, 0}), rule),
              AllNear(Vector{0, 2, 2, 0}, 1e-15));
}

TEST(LogWeightsTest, SftWeighsEveryRowAlike) {
  const Objective rule = Preset(Objective::PRESET_SFT);
  EXPECT_EQ(Weights(kZSet, rule), (Vector{1, 1, 1}));
  EXPECT_EQ(LogWeights(kZSet, rule)->log_z, 0);
}

TEST(LogWeightsTest, AwrIsTheClippedExponentOfTheAdvantage) {
  const Objective rule = WithRawLambda(Preset(Objective::PRESET_AWR), 1);
  EXPECT_THAT(Weights(Rewards({1, 2, 0}), rule),
              AllNear(Vector{1, 2.718281828, 0.367879441}, kDigits));
  ASSERT_OK_AND_ASSIGN(const ZSetWeights far,
                       LogWeights(Rewards({-10, 10}), rule));
  EXPECT_NEAR(std::exp(far.log_weights[1]), 20, 1e-12);
  EXPECT_EQ(far.num_clipped, 1u);
}

TEST(LogWeightsTest, AwrLeavesASingleResponseItsReward) {
  const Objective rule = WithRawLambda(Preset(Objective::PRESET_AWR), 1);
  EXPECT_THAT(Weights(Rewards({2}), rule), AllNear(Vector{std::exp(2)}, 1e-12));
}

TEST(LogWeightsTest, RewardClipWorksOnCentredRewards) {
  Objective rule = Rule(Objective::REF_LOGP_NONE);
  rule.set_reward_clip(1);
  // Centred: -4, 1, 3.
  ASSERT_OK_AND_ASSIGN(const ZSetWeights weights,
                       LogWeights(Rewards({96, 101, 103}), rule));
  const Vector clipped =
      Weights(Rewards({-1, 1, 1}), Rule(Objective::REF_LOGP_NONE));
  EXPECT_THAT(Exp(weights.log_weights), AllNear(clipped, 1e-12));
  EXPECT_GT(weights.log_z, 99);  // in the reward's own scale
}

TEST(LogWeightsTest, LimitsAreSftAndBestOfK) {
  EXPECT_THAT(Weights(kZSet, Rule(Objective::REF_LOGP_NONE, 1e9)),
              AllNear(Vector{1, 1, 1}, 1e-8));
  EXPECT_THAT(Weights(Rewards({7, 7, 7}), Rule(Objective::REF_LOGP_NONE, 0.01)),
              AllNear(Vector{1, 1, 1}, 1e-12));
  EXPECT_EQ(
      LogWeights(Rewards({3}), Rule(Objective::REF_LOGP_MEAN))->log_weights,
      Vector{0});
  EXPECT_THAT(
      Weights(Rewards({1, 2, 2, 0}), Rule(Objective::REF_LOGP_NONE, 1e-3)),
      AllNear(Vector{0, 2, 2, 0}, 1e-12));
}

TEST(LogWeightsTest, OffsetsAndUnitsOfTheRewardDoNotMatter) {
  const Objective rule = Rule(Objective::REF_LOGP_MEAN);
  const Vector weights = Weights(kZSet, rule);
  std::vector<Score> shifted = kZSet, scaled = kZSet;
  for (Score& score : shifted) score.reward += 123.25;
  for (Score& score : scaled) score.reward *= 16;
  EXPECT_THAT(Weights(shifted, rule), AllNear(weights, 1e-12));
  EXPECT_THAT(Weights(scaled, Rule(Objective::REF_LOGP_MEAN, 16)),
              AllNear(weights, 1e-12));
}

TEST(LogWeightsTest, RewardSdUnitFollowsTheScaleOfTheReward) {
  Objective rule = Rule(Objective::REF_LOGP_MEAN);
  rule.set_lambda_unit(Objective::LAMBDA_UNIT_REWARD_SD);
  const auto weights_of = [&](double factor) {
    RewardSdEstimator estimator;
    std::vector<Score> scores = kZSet;
    Vector rewards;
    for (Score& score : scores) rewards.push_back(score.reward *= factor);
    estimator.AddPrompt(rewards);
    return Weights(scores, WithRawLambda(rule, estimator.Sd().value()));
  };
  EXPECT_THAT(weights_of(37), AllNear(weights_of(1), 1e-12));
}

TEST(LogWeightsTest, PermutedScoresHavePermutedWeights) {
  std::vector<Score> permuted = {kZSet[2], kZSet[0], kZSet[1]};
  const Objective rule = Rule(Objective::REF_LOGP_MEAN);
  const Vector w = Weights(kZSet, rule);
  EXPECT_THAT(Weights(permuted, rule),
              AllNear(Vector{w[2], w[0], w[1]}, 1e-14));
}

TEST(LogWeightsTest, WeightsOfASetHaveMeanOneAndAreBounded) {
  std::mt19937_64 random(20);
  std::normal_distribution<double> normal;
  for (const size_t size : {1, 2, 3, 12, 500}) {
    std::vector<Score> scores;
    for (size_t k = 0; k < size; ++k) {
      const auto n = static_cast<uint32_t>(1 + random() % 300);
      scores.push_back({3 * normal(random), -1.1 * n + normal(random), n});
    }
    for (const auto ref_logp :
         {Objective::REF_LOGP_MEAN, Objective::REF_LOGP_NONE}) {
      for (const Objective& rule : {Rule(ref_logp), BatchRule(ref_logp)}) {
        const Vector w = Weights(scores, rule, OwnPrompts(size));
        EXPECT_NEAR(Mean(w), 1, 1e-12);
        EXPECT_THAT(
            w, Each(AllOf(Gt(0), Le(static_cast<double>(size) * (1 + 1e-12)))));
      }
    }
  }
}

TEST(LogWeightsTest, ExtremeScoresStayFinite) {
  const std::vector<Score> scores = {
      {1e4, -5000, 1}, {-1e4, -5000, 4000}, {0, -5000, 1}};
  for (const auto ref_logp : {Objective::REF_LOGP_SUM, Objective::REF_LOGP_MEAN,
                              Objective::REF_LOGP_NONE}) {
    ASSERT_OK_AND_ASSIGN(const ZSetWeights weights,
                         LogWeights(scores, Rule(ref_logp, 1e-3)));
    for (const double log_w : weights.log_weights) {
      EXPECT_TRUE(std::isfinite(log_w));
    }
    EXPECT_TRUE(std::isfinite(weights.log_z));
    EXPECT_NEAR(weights.ess, 1, 1e-9);
  }
}

TEST(LogWeightsTest, BadScoresAreErrorsThatNameTheRow) {
  const Objective rule = Rule(Objective::REF_LOGP_MEAN);
  const auto with = [](Score bad) {
    return std::vector<Score>{kZSet[0], kZSet[1], bad};
  };
  constexpr double kInf = std::numeric_limits<double>::infinity();
  for (const Score& bad :
       {Score{std::nan(""), -1, 1}, Score{kInf, -1, 1}, Score{0, -kInf, 1},
        Score{0, std::nan(""), 1}, Score{0, -1, 0}}) {
    EXPECT_THAT(LogWeights(with(bad), rule),
                StatusIs(absl::StatusCode::kDataLoss, EndsWith("row 2")));
  }
  EXPECT_THAT(
      LogWeights(with({1e308, -1, 1}), Rule(Objective::REF_LOGP_MEAN, 1e-3)),
      StatusIs(absl::StatusCode::kDataLoss, HasSubstr("lambda")));
}

TEST(LogWeightsTest, RefusesAnEmptySetAndAnUnresolvedRule) {
  EXPECT_THAT(LogWeights({}, Rule(Objective::REF_LOGP_MEAN)),
              StatusIs(absl::StatusCode::kInvalidArgument, HasSubstr("empty")));
  EXPECT_THAT(LogWeights(kZSet, Objective()),
              StatusIs(absl::StatusCode::kInvalidArgument));
  EXPECT_THAT(LogWeights(kZSet, Preset(Objective::PRESET_VAR)),
              StatusIs(absl::StatusCode::kInvalidArgument,
                       HasSubstr("standard deviation")));
  EXPECT_THAT(LogWeights(kZSet, Rule(Objective::REF_LOGP_MEAN), OwnPrompts(2)),
              StatusIs(absl::StatusCode::kInvalidArgument));
}

TEST(LogWeightsTest, FollowsTheGaussianLaw) {
  // r ~ N(0, 1), lambda = 2, K = 64.
  std::mt19937_64 random(64);
  std::normal_distribution<double> normal;
  const Objective rule = Rule(Objective::REF_LOGP_NONE, 2);
  double ess_ratio = 0, reward = 0;
  constexpr int kGroups = 4000, kSize = 64;
  for (int g = 0; g < kGroups; ++g) {
    std::vector<Score> scores;
    for (int k = 0; k < kSize; ++k) scores.push_back({normal(random), 0, 1});
    const ZSetWeights weights = LogWeights(scores, rule).value();
    ess_ratio += weights.ess / kSize / kGroups;
    for (size_t k = 0; k < kSize; ++k) {
      reward +=
          std::exp(weights.log_weights[k]) * scores[k].reward / kSize / kGroups;
    }
  }
  EXPECT_NEAR(ess_ratio, 0.787, 0.01);
  EXPECT_NEAR(reward, 0.490, 0.02);
}

// The exact expectation of the weight on y over all samples of size K of
// pi_ref, normalised: what training on samples of the reference tends to.
Vector ExpectedTarget(int size, const Objective& rule) {
  const Vector p = {0.4, 0.3, 0.2, 0.1}, r = {0, 1, 0.5, 2};
  Vector target(4);
  for (int a = 0; a <= size; ++a) {
    for (int b = 0; a + b <= size; ++b) {
      for (int c = 0; a + b + c <= size; ++c) {
        const int counts[] = {a, b, c, size - a - b - c};
        double log_p = std::lgamma(size + 1);
        std::vector<Score> sample;
        for (size_t y = 0; y < 4; ++y) {
          log_p += counts[y] * std::log(p[y]) - std::lgamma(counts[y] + 1);
          sample.insert(sample.end(), static_cast<size_t>(counts[y]),
                        {r[y], std::log(p[y]), 1});
        }
        const Vector w = Weights(sample, rule);
        size_t k = 0;
        for (size_t y = 0; y < 4; ++y) {
          for (int i = 0; i < counts[y]; ++i) {
            target[y] += std::exp(log_p) * w[k++] / size;
          }
        }
      }
    }
  }
  return target;
}

TEST(LogWeightsTest, ExpectedTargetsOfReferenceSamples) {
  const Objective rule = Rule(Objective::REF_LOGP_NONE);
  EXPECT_THAT(ExpectedTarget(1, rule),
              AllNear(Vector{0.4, 0.3, 0.2, 0.1}, 1e-12));
  EXPECT_THAT(ExpectedTarget(2, rule),
              AllNear(Vector{0.294489, 0.356286, 0.192195, 0.157030}, 1e-6));
  EXPECT_THAT(ExpectedTarget(4, rule),
              AllNear(Vector{0.234313, 0.374280, 0.174718, 0.216689}, 1e-6));
  EXPECT_THAT(ExpectedTarget(8, rule),
              AllNear(Vector{0.203797, 0.371939, 0.160860, 0.263404}, 1e-6));
}

// The other rows' Z is independent of a row: no bias, whatever K.
TEST(LogWeightsTest, LeaveOneOutIsExactInExpectation) {
  const struct {
    int size;
    double mean;
  } kCases[] = {{2, 1.473732}, {4, 1.204850}, {8, 1.093752}};
  for (const auto& [size, mean] : kCases) {
    Vector target = ExpectedTarget(size, LeaveOneOut(0));
    double sum = 0;
    for (const double mass : target) sum += mass;
    EXPECT_NEAR(sum, mean, 1e-6);
    for (double& mass : target) mass /= sum;
    EXPECT_THAT(target, AllNear(Vector{0.175121043, 0.357021261, 0.144362894,
                                       0.323494802},
                                1e-9));
  }
}

TEST(LogWeightsTest, ManyReferenceSamplesTendToTheirTargets) {
  const Vector p = {0.4, 0.3, 0.2, 0.1}, r = {0, 1, 0.5, 2};
  std::mt19937_64 random(7);
  std::discrete_distribution<size_t> reference(p.begin(), p.end());
  std::vector<size_t> drawn;
  std::vector<Score> sample;
  for (int k = 0; k < 400000; ++k) {
    drawn.push_back(reference(random));
    sample.push_back({r[drawn.back()], std::log(p[drawn.back()]), 1});
  }
  const auto target = [&](const Objective& rule) {
    const Vector w = Weights(sample, rule);
    Vector mass(4);
    for (size_t k = 0; k < w.size(); ++k) {
      mass[drawn[k]] += w[k] / static_cast<double>(w.size());
    }
    return mass;
  };
  EXPECT_THAT(target(Rule(Objective::REF_LOGP_NONE)),
              AllNear(Vector{0.175121, 0.357021, 0.144363, 0.323495}, 0.004));
  // The reference counted twice, on purpose.
  EXPECT_THAT(target(Rule(Objective::REF_LOGP_SUM)),
              AllNear(Vector{0.293856, 0.449315, 0.121122, 0.135707}, 0.004));
}

}  // namespace
}  // namespace varalign::objective
