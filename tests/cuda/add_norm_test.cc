#include "model/cuda/add_norm.h"

#include <ATen/ATen.h>
#include <gtest/gtest.h>

#include "tests/cuda/device_array.h"

namespace varalign::model {
namespace {

using testing::DeviceArray;
using testing::ExpectBf16;
using testing::ExpectClose;
using testing::RandomBf16;

constexpr double kEps = 1e-5;

// The plain path, in float64, on what the kernel reads.
struct Plain {
  at::Tensor x;  // [T, H]
  at::Tensor weight;
  at::Tensor y;
};

Plain RunPlain(const at::Tensor& residual, const at::Tensor& delta,
               const at::Tensor& weight) {
  Plain plain;
  plain.x = (residual.to(at::kFloat) + delta.to(at::kFloat))
                .to(at::kBFloat16)
                .to(at::kDouble)
                .requires_grad_();
  plain.weight = weight.to(at::kDouble).requires_grad_();
  const at::Tensor r =
      (plain.x.square().mean(1, /*keepdim=*/true) + kEps).rsqrt();
  plain.y = plain.x * r * plain.weight;
  return plain;
}

class AddNormOnDevice : public ::testing::TestWithParam<int64_t> {
 protected:
  static constexpr int64_t kRows = 1037;  // no multiple of the parts
  const int64_t width_ = GetParam();
  const at::Tensor residual_ = RandomBf16({kRows, width_});
  const at::Tensor delta_ = RandomBf16({kRows, width_});
  const at::Tensor weight_ = RandomBf16({width_});
  const at::Tensor dx_ = RandomBf16({kRows, width_});
  const at::Tensor dy_ = RandomBf16({kRows, width_});

  struct Gradients {
    at::Tensor d;
    at::Tensor dweight;
  };

  Gradients RunGrad(const at::Tensor& x, const at::Tensor& r,
                    const at::Tensor& dweight) const {
    const DeviceArray dx(dx_), dy(dy_), on_device(x), inverse(r),
        weight(weight_), d(at::zeros_like(dx_)), sum(dweight),
        parts(at::zeros({AddNormParts(kRows), width_}));
    EXPECT_LAUNCHED(LaunchAddNormGrad({.dx = dx.bf16(),
                                       .dy = dy.bf16(),
                                       .x = on_device.bf16(),
                                       .r = inverse.f32(),
                                       .weight = weight.bf16(),
                                       .d = d.bf16(),
                                       .parts = parts.f32(),
                                       .dweight = sum.f32(),
                                       .rows = kRows,
                                       .width = width_},
                                      nullptr));
    return {d.ToHost(), sum.ToHost()};
  }
};

TEST_P(AddNormOnDevice, EqualsThePlainPath) {
  const DeviceArray residual(residual_), delta(delta_), weight(weight_),
      x(at::zeros_like(residual_)), y(at::zeros_like(residual_)),
      r(at::zeros({kRows}));
  EXPECT_LAUNCHED(LaunchAddNorm({.residual = residual.bf16(),
                                 .delta = delta.bf16(),
                                 .weight = weight.bf16(),
                                 .x = x.bf16(),
                                 .y = y.bf16(),
                                 .r = r.f32(),
                                 .rows = kRows,
                                 .width = width_,
                                 .eps = static_cast<float>(kEps)},
                                nullptr));
  Plain plain = RunPlain(residual_, delta_, weight_);
  EXPECT_TRUE(x.ToHost().equal(plain.x.detach().to(at::kBFloat16)));
  ExpectBf16(y.ToHost(), plain.y.detach(), "y");

  const at::Tensor before = at::randn({width_});
  const Gradients gradients = RunGrad(x.ToHost(), r.ToHost(), before);
  (plain.y * dy_.to(at::kDouble) + plain.x * dx_.to(at::kDouble))
      .sum()
      .backward();
  ExpectBf16(gradients.d, plain.x.grad(), "d");
  ExpectClose(gradients.dweight - before, plain.weight.grad(), 1e-4, 1e-2,
              "dweight");

  const Gradients again = RunGrad(x.ToHost(), r.ToHost(), before);
  EXPECT_TRUE(again.d.equal(gradients.d));
  EXPECT_TRUE(again.dweight.equal(gradients.dweight));
}

INSTANTIATE_TEST_SUITE_P(Widths, AddNormOnDevice,
                         ::testing::Values(64, 2048, 3072, 4096, 8192));

TEST(AddNormRules, AnOddWidthIsRefused) {
  EXPECT_STRNE(LaunchAddNorm({.rows = 1, .width = 12}, nullptr), nullptr);
}

}  // namespace
}  // namespace varalign::model
