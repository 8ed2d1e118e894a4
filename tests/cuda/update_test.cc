#include "optim/cuda/update.h"

#include <ATen/ATen.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <cstring>
#include <limits>

#include "tests/cuda/device_array.h"

namespace varalign::optim {
namespace {

using testing::DeviceArray;
using testing::ExpectClose;

constexpr int64_t kCount = 1'000'003;
constexpr UpdateRule kRule{
    .divisor = 8, .max_norm = 1, .beta1 = 0.9, .beta2 = 0.95};
constexpr double kLearningRate = 1e-3;
constexpr double kWeightDecay = 0.1;
constexpr double kEpsilon = 1e-8;

// The shard of a rank, there and, in float64, here.
class UpdateOnDevice : public ::testing::Test {
 protected:
  const at::Tensor start_ = at::randn({kCount});
  const DeviceArray master_{start_};
  const DeviceArray m_{at::zeros({kCount})};
  const DeviceArray v_{at::zeros({kCount})};
  const DeviceArray weight_{at::zeros({kCount}, at::kBFloat16)};
  const DeviceArray partials_{at::zeros({kSquareParts}, at::kDouble)};
  const DeviceArray sum_{at::zeros({1}, at::kDouble)};
  const DeviceArray state_{
      at::zeros({static_cast<int64_t>(sizeof(UpdateState))}, at::kByte)};

  void Step(const at::Tensor& gradient) {
    const DeviceArray there(gradient);
    auto* state = state_.As<UpdateState>();
    EXPECT_LAUNCHED(LaunchSumOfSquares(there.f32(), kCount,
                                       partials_.As<double>(),
                                       sum_.As<double>(), nullptr));
    EXPECT_LAUNCHED(
        LaunchPrepareUpdate(sum_.As<double>(), kRule, state, nullptr));
    EXPECT_LAUNCHED(
        LaunchAdamW({.gradient = there.f32(),
                     .master = master_.f32(),
                     .m = m_.f32(),
                     .v = v_.f32(),
                     .weight = weight_.bf16(),
                     .count = kCount,
                     .learning_rate = static_cast<float>(kLearningRate),
                     .weight_decay = static_cast<float>(kWeightDecay),
                     .beta1 = static_cast<float>(kRule.beta1),
                     .beta2 = static_cast<float>(kRule.beta2),
                     .epsilon = static_cast<float>(kEpsilon)},
                    state, nullptr));
    state_.ToHost();  // waits: `there` ends here
  }

  UpdateState State() const {
    UpdateState state;
    const at::Tensor bytes = state_.ToHost();
    std::memcpy(&state, bytes.const_data_ptr(), sizeof(state));
    return state;
  }
};

TEST_F(UpdateOnDevice, FiveStepsEqualThePlainPath) {
  at::Tensor p = start_.to(at::kDouble);
  at::Tensor m = at::zeros_like(p);
  at::Tensor v = at::zeros_like(p);
  for (int step = 1; step <= 5; ++step) {
    const at::Tensor gradient = at::randn({kCount});
    Step(gradient);
    const double norm =
        gradient.to(at::kDouble).norm().item<double>() / kRule.divisor;
    EXPECT_NEAR(State().norm, norm, 1e-9 * norm);
    const at::Tensor scaled =
        gradient.to(at::kDouble) *
        (std::min(1.0, kRule.max_norm / norm) / kRule.divisor);
    at::_fused_adamw_({p}, {scaled}, {m}, {v}, {},
                      {at::full({}, step, at::kDouble)}, kLearningRate,
                      kRule.beta1, kRule.beta2, kWeightDecay, kEpsilon,
                      /*amsgrad=*/false, /*maximize=*/false);
  }
  ExpectClose(master_.ToHost(), p, 1e-5, 1e-6, "master");
  EXPECT_TRUE(weight_.ToHost().equal(master_.ToHost().to(at::kBFloat16)));
  EXPECT_EQ(State().updates, 5);
  EXPECT_EQ(State().skipped, 0);
}

TEST_F(UpdateOnDevice, AGradientThatIsNotFiniteChangesNothing) {
  at::Tensor gradient = at::randn({kCount});
  Step(gradient);
  const at::Tensor master = master_.ToHost();
  const at::Tensor moment = m_.ToHost();
  gradient[77] = std::numeric_limits<float>::quiet_NaN();
  Step(gradient);
  EXPECT_TRUE(master_.ToHost().equal(master));
  EXPECT_TRUE(m_.ToHost().equal(moment));
  EXPECT_EQ(State().updates, 1);
  EXPECT_EQ(State().skipped, 1);
}

}  // namespace
}  // namespace varalign::optim
