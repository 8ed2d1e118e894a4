#include "model/cuda/swiglu.h"

#include <ATen/ATen.h>
#include <gtest/gtest.h>

#include "tests/cuda/device_array.h"

namespace varalign::model {
namespace {

using testing::DeviceArray;
using testing::ExpectBf16;
using testing::RandomBf16;

TEST(SwiGluOnDevice, EqualsThePlainPath) {
  constexpr int64_t kRows = 333;
  constexpr int64_t kWidth = 2056;  // no multiple of a block's
  const at::Tensor gate_up = RandomBf16({kRows, 2 * kWidth}, 3);
  const at::Tensor dout = RandomBf16({kRows, kWidth});
  const DeviceArray in(gate_up), gradient(dout), out(at::zeros_like(dout)),
      dgate_up(at::zeros_like(gate_up));
  EXPECT_LAUNCHED(LaunchSwiGlu(in.bf16(), kRows, kWidth, out.bf16(), nullptr));
  EXPECT_LAUNCHED(LaunchSwiGluGrad(in.bf16(), gradient.bf16(), kRows, kWidth,
                                   dgate_up.bf16(), nullptr));

  const at::Tensor plain = gate_up.to(at::kDouble).requires_grad_();
  const at::Tensor result =
      at::silu(plain.narrow(1, 0, kWidth)) * plain.narrow(1, kWidth, kWidth);
  (result * dout.to(at::kDouble)).sum().backward();
  ExpectBf16(out.ToHost(), result.detach(), "out");
  ExpectBf16(dgate_up.ToHost(), plain.grad(), "dgate_up");
}

}  // namespace
}  // namespace varalign::model
