#include "optim/adamw.h"

#include <ATen/ATen.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <vector>

#include "tests/testing/watching_allocator.h"

namespace varalign::optim {
namespace {

using ::testing::ElementsAre;
using ::testing::Pair;

// Made by make_adamw_golden.py.
const std::vector<double> kStart = {
    0.6613521715704522,  0.2669240982925188,   0.061677258237348306,
    0.6213173286854216,  -0.45190596470388295, -0.16613023453557194,
    -1.5227684840130555, 0.38168390241818895,  -1.0276085758313882,
    -0.5630527986537884, -0.8922905087810341,  -0.05825017908369636};
const std::vector<std::vector<double>> kGradients = {
    {-0.19550957739962468, -0.9656359311683427, 0.42241532118215536,
     0.26731699794736563, -0.4211951567546136, -0.5106999992831965,
     -1.5726652135630592, -0.1232477576203296, 3.586989310317374,
     -1.8312901364228844, 1.5987003148762056, -1.27700703480527},
    {0.3255015423575558, -0.4791449162197852, 1.3790082614212824,
     2.5285573053756747, 0.410741663681376, -0.9880071189627424,
     -0.9080733658350204, 0.5422736524582134, 0.11025489388946501,
     -2.2590096035659903, 0.606699569795185, -0.13830966086820726},
    {0.8310162778424094, -0.24770745425186805, -0.8029409423009273,
     0.23657467679582778, 0.28569275962606083, 0.6898148786602563,
     -0.6330540337361602, 0.8794753194080119, -0.6841781812800289,
     0.45329080155723456, 0.29115795189262866, -0.8317165688933763},
    {-0.5525083018517568, 0.6354773107690906, -0.39681580653854176,
     -0.6570598320050803, -1.642752369005205, 0.9802917526971656,
     -0.04214706314638268, -0.8205757770783682, 0.3132995041068195,
     -1.1351665719830948, 0.3773336991887186, -0.2824195808417029},
    {-2.5667366150223985, -1.4303274437074185, 0.5009211431366598,
     0.5437674752373228, -0.40574238978658245, 1.1340515059114333,
     -1.1115384747054842, 0.3500675884866145, -0.7702728144930558,
     -0.1472662184186014, 0.6271789869873419, 1.0934529189040325}};
const std::vector<double> kRates = {1e-2, 2e-2, 1e-2, 5e-3, 1e-3};
const std::vector<double> kEnd = {
    0.6554220192987209,  0.30513375332684517, 0.02971462062688711,
    0.5832316038197353,  -0.4411021099856021, -0.13438465112275058,
    -1.4727781836362714, 0.3716748333582362,  -1.0579852930558218,
    -0.5220996687261894, -0.9329854146193903, -0.02055607909458678};

const AdamWOptions kOptions = {.beta2 = 0.95, .weight_decay = 0.1};

at::Tensor Tensor(const std::vector<double>& values, at::ScalarType dtype) {
  return at::tensor(values, at::kDouble).to(dtype);
}

// Five golden steps on [begin, end); gradients come divided by `scale`.
AdamWState RunGolden(int64_t begin, int64_t end, at::ScalarType dtype,
                     double scale = 1) {
  AdamWState state =
      MakeAdamWState(Tensor(kStart, dtype), begin, end, {{0, 7}});
  for (size_t i = 0; i < kGradients.size(); ++i) {
    const at::Tensor gradient =
        Tensor(kGradients[i], dtype).narrow(0, begin, end - begin) / scale;
    AdamWStep(gradient, scale, kRates[i], kOptions, state);
  }
  return state;
}

double Difference(const at::Tensor& a, const at::Tensor& b) {
  return (a.to(at::kDouble) - b.to(at::kDouble)).abs().max().item<double>();
}

TEST(AdamWTest, EqualsTheReferenceInBothPrecisions) {
  EXPECT_LT(Difference(RunGolden(0, 12, at::kDouble).master,
                       Tensor(kEnd, at::kDouble)),
            1e-14);
  EXPECT_LT(Difference(RunGolden(0, 12, at::kFloat).master,
                       Tensor(kEnd, at::kDouble)),
            3e-7);
  EXPECT_EQ(RunGolden(0, 12, at::kFloat).updates, 5);
}

TEST(AdamWTest, ScaleMultipliesTheGradient) {
  EXPECT_LT(Difference(RunGolden(0, 12, at::kDouble, 128).master,
                       Tensor(kEnd, at::kDouble)),
            1e-14);
}

TEST(AdamWTest, ShardsTogetherAreTheWhole) {
  for (const auto dtype : {at::kFloat, at::kDouble}) {
    const at::Tensor whole = RunGolden(0, 12, dtype).master;
    for (const int64_t cut : {1, 4, 7, 9}) {
      const at::Tensor parts = at::cat(
          {RunGolden(0, cut, dtype).master, RunGolden(cut, 12, dtype).master});
      EXPECT_LT(Difference(parts, whole), dtype == at::kFloat ? 3e-7 : 1e-15);
    }
  }
}

TEST(AdamWTest, EqualsTheFusedKernelOnManyParameters) {
  // Past the block size, ragged, with decay over every kind of border.
  constexpr int64_t kSize = 300007;
  at::manual_seed(2);
  const at::Tensor flat = at::randn({kSize});
  AdamWState state =
      MakeAdamWState(flat, 0, kSize, {{200000, 200001}, {5, 131072}});
  at::Tensor parameter = flat.clone(), m = at::zeros({kSize}),
             v = at::zeros({kSize});
  at::Tensor mask = at::zeros({kSize});
  mask.narrow(0, 5, 131067).fill_(1);
  mask[200000] = 1;
  for (int step = 1; step <= 3; ++step) {
    const at::Tensor gradient = at::randn({kSize});
    AdamWStep(gradient, 0.5, 1e-3, kOptions, state);
    parameter.mul_(1 - 1e-3 * kOptions.weight_decay * mask);
    at::Tensor half = gradient * 0.5;
    at::_fused_adamw_({parameter}, {half}, {m}, {v}, {},
                      {at::scalar_tensor(step, at::kFloat)}, 1e-3, 0.9, 0.95,
                      /*weight_decay=*/0, 1e-8, false, false);
  }
  EXPECT_LT(Difference(state.master, parameter), 5e-7);
  EXPECT_LT(Difference(state.m, m), 1e-6);
  EXPECT_LT(Difference(state.v, v), 1e-6);
}

TEST(AdamWTest, LeavesTheGradientAsItWas) {
  AdamWState state = MakeAdamWState(at::ones({3}), 0, 3, {});
  const at::Tensor gradient = at::tensor({1.0f, 2.0f, 3.0f});
  AdamWStep(gradient, 0.25, 0.1, kOptions, state);
  EXPECT_TRUE(at::equal(gradient, at::tensor({1.0f, 2.0f, 3.0f})));
}

TEST(AdamWTest, StateIsTheSliceAndItsDecayedRanges) {
  const at::Tensor flat = at::arange(10, at::kFloat);
  AdamWState state = MakeAdamWState(flat, 3, 8, {{7, 10}, {0, 2}, {2, 5}});
  EXPECT_TRUE(at::equal(state.master, at::arange(3, 8, at::kFloat)));
  EXPECT_THAT(state.decayed, ElementsAre(Pair(0, 2), Pair(4, 5)));
  EXPECT_EQ(state.m.abs().sum().item<float>(), 0);
  EXPECT_EQ(state.v.abs().sum().item<float>(), 0);
  flat.fill_(-1);  // the master is the slice itself
  EXPECT_EQ(state.master[0].item<float>(), -1);
  flat.fill_(3);
  EXPECT_EQ(MakeAdamWState(flat.to(at::kBFloat16), 3, 8, {}).master.dtype(),
            at::kFloat);
}

// 1 - 1e-4 is 1 in bfloat16: without a master nothing would ever change.
TEST(AdamWTest, UpdatesBelowTheSpacingOfBfloat16AddUp) {
  at::Tensor flat = at::ones({4}, at::kBFloat16);
  AdamWState state = MakeAdamWState(flat, 1, 3, {});
  for (int update = 1; update <= 100; ++update) {
    AdamWStep(at::ones({2}), 1, 1e-4, {}, state);
    WriteMaster(state, flat);
    if (update == 1) {
      EXPECT_EQ(flat[1].item<float>(), 1);
    }
  }
  EXPECT_NEAR(state.master[0].item<float>(), 0.99, 1e-4);
  EXPECT_NEAR(flat[1].item<float>(), 0.99, 4e-3);
  EXPECT_LT(flat[2].item<float>(), 1);
  EXPECT_EQ(flat[0].item<float>(), 1);  // another rank's
  EXPECT_EQ(flat[3].item<float>(), 1);
}

TEST(AdamWTest, EmptyShardIsFine) {
  AdamWState state = MakeAdamWState(at::ones({3}), 3, 3, {{0, 3}});
  AdamWStep(at::empty({0}), 1, 0.1, kOptions, state);
  EXPECT_EQ(state.updates, 1);
}

TEST(AdamWTest, ClipFactorScalesDownOnly) {
  EXPECT_EQ(ClipFactor(2, 1), 0.5);
  EXPECT_EQ(ClipFactor(0.5, 1), 1);
  EXPECT_EQ(ClipFactor(0, 1), 1);
  EXPECT_EQ(ClipFactor(1e9, 0), 1);
  EXPECT_TRUE(std::isnan(ClipFactor(std::nan(""), 1)));
  EXPECT_TRUE(std::isnan(ClipFactor(std::nan(""), 0)));
}

TEST(AdamWTest, MakesNoTemporaryOfTheShardsSize) {
  constexpr int64_t kSize = 1 << 20;
  AdamWState state = MakeAdamWState(at::ones({kSize}), 0, kSize, {{0, 99}});
  const at::Tensor gradient = at::ones({kSize});
  const testing::WatchingAllocator watching;
  AdamWStep(gradient, 0.5, 1e-3, kOptions, state);
  EXPECT_LE(watching.largest_bytes(), size_t{kSize * 4 / 8});
}

}  // namespace
}  // namespace varalign::optim
