#include "model/cuda/rotary.h"

#include <ATen/ATen.h>
#include <gtest/gtest.h>

#include "tests/cuda/device_array.h"

namespace varalign::model {
namespace {

using testing::DeviceArray;
using testing::ExpectBf16;
using testing::ExpectClose;
using testing::RandomBf16;

constexpr int64_t kRows = 517;
constexpr int64_t kPositions = 700;
constexpr int kHeads = 6;
constexpr int kKvHeads = 2;
constexpr int64_t kRotated = kHeads + kKvHeads;
constexpr double kEps = 1e-6;

class RotaryOnDevice : public ::testing::TestWithParam<int> {
 protected:
  const int dim_ = GetParam();
  const int64_t stride_ = (kRotated + kKvHeads) * dim_;  // values behind
  const at::Tensor qkv_ = RandomBf16({kRows, stride_});
  const at::Tensor dout_ = RandomBf16({kRows, stride_});
  const at::Tensor positions_ = at::randint(0, kPositions, {kRows}, at::kInt);
  const at::Tensor angles_ = at::randn({kPositions, dim_ / 2}) * 3;
  const at::Tensor query_ = RandomBf16({dim_});
  const at::Tensor key_ = RandomBf16({dim_});
  const DeviceArray positions_there_{positions_};
  const DeviceArray cos_there_{angles_.cos()};
  const DeviceArray sin_there_{angles_.sin()};

  RotaryShape Shape() const {
    return {.positions = positions_there_.As<int32_t>(),
            .cos = cos_there_.f32(),
            .sin = sin_there_.f32(),
            .rows = kRows,
            .heads = kHeads,
            .kv_heads = kKvHeads,
            .dim = dim_};
  }

  // [T, heads + kv_heads, dim] of a row's rotated heads.
  at::Tensor Rotated(const at::Tensor& rows) const {
    return rows.narrow(1, 0, kRotated * dim_).view({kRows, kRotated, dim_});
  }

  // The plain path in float64.
  at::Tensor Turned(const at::Tensor& heads) const {
    const at::Tensor index = positions_.to(at::kLong);
    const at::Tensor angles =
        angles_.to(at::kFloat).index_select(0, index).unsqueeze(1);
    const at::Tensor cos = angles.cos().to(at::kDouble);
    const at::Tensor sin = angles.sin().to(at::kDouble);
    const at::Tensor low = heads.narrow(2, 0, dim_ / 2);
    const at::Tensor high = heads.narrow(2, dim_ / 2, dim_ / 2);
    return at::cat({low * cos - high * sin, high * cos + low * sin}, 2);
  }

  static at::Tensor Normed(const at::Tensor& heads, const at::Tensor& query,
                           const at::Tensor& key) {
    const at::Tensor unit =
        heads * (heads.square().mean(2, /*keepdim=*/true) + kEps).rsqrt();
    return at::cat({unit.narrow(1, 0, kHeads) * query,
                    unit.narrow(1, kHeads, kKvHeads) * key},
                   1);
  }
};

TEST_P(RotaryOnDevice, EqualsThePlainPathInPlace) {
  const DeviceArray rows(qkv_), gradient(dout_);
  EXPECT_LAUNCHED(LaunchRotary({.in = rows.bf16(),
                                .in_stride = stride_,
                                .out = rows.bf16(),
                                .out_stride = stride_,
                                .shape = Shape(),
                                .norm = {}},
                               nullptr));
  EXPECT_LAUNCHED(LaunchRotaryGrad({.dout = gradient.bf16(),
                                    .dout_stride = stride_,
                                    .din = gradient.bf16(),
                                    .din_stride = stride_,
                                    .shape = Shape(),
                                    .norm = {}},
                                   nullptr));

  const at::Tensor in = qkv_.to(at::kDouble).requires_grad_();
  const at::Tensor out = Turned(Rotated(in));
  (out * Rotated(dout_.to(at::kDouble))).sum().backward();
  ExpectBf16(Rotated(rows.ToHost()), out.detach(), "out");
  ExpectBf16(Rotated(gradient.ToHost()), Rotated(in.grad()), "din");
  const int64_t values = kRotated * dim_;
  EXPECT_TRUE(rows.ToHost()
                  .narrow(1, values, kKvHeads * dim_)
                  .equal(qkv_.narrow(1, values, kKvHeads * dim_)));
}

TEST_P(RotaryOnDevice, WithNormsEqualsThePlainPath) {
  const at::Tensor zeros = at::zeros_like(qkv_);
  const DeviceArray rows(qkv_), out(zeros), dout(dout_), din(zeros),
      query(query_), key(key_), r(at::zeros({kRows, kRotated})),
      parts(at::zeros({RotaryParts(kRows), 2, dim_})),
      dquery(at::zeros({dim_})), dkey(at::zeros({dim_}));
  const HeadNorm norm{.query = query.bf16(),
                      .key = key.bf16(),
                      .r = r.f32(),
                      .eps = static_cast<float>(kEps)};
  EXPECT_LAUNCHED(LaunchRotary({.in = rows.bf16(),
                                .in_stride = stride_,
                                .out = out.bf16(),
                                .out_stride = stride_,
                                .shape = Shape(),
                                .norm = norm},
                               nullptr));
  EXPECT_LAUNCHED(LaunchRotaryGrad({.dout = dout.bf16(),
                                    .dout_stride = stride_,
                                    .din = din.bf16(),
                                    .din_stride = stride_,
                                    .shape = Shape(),
                                    .norm = norm,
                                    .in = rows.bf16(),
                                    .in_stride = stride_,
                                    .parts = parts.f32(),
                                    .dquery = dquery.f32(),
                                    .dkey = dkey.f32()},
                                   nullptr));

  const at::Tensor in = qkv_.to(at::kDouble).requires_grad_();
  const at::Tensor q = query_.to(at::kDouble).requires_grad_();
  const at::Tensor k = key_.to(at::kDouble).requires_grad_();
  const at::Tensor expected = Turned(Normed(Rotated(in), q, k));
  (expected * Rotated(dout_.to(at::kDouble))).sum().backward();
  ExpectBf16(Rotated(out.ToHost()), expected.detach(), "out");
  ExpectBf16(Rotated(din.ToHost()), Rotated(in.grad()), "din");
  ExpectClose(dquery.ToHost(), q.grad(), 1e-4, 1e-2, "dquery");
  ExpectClose(dkey.ToHost(), k.grad(), 1e-4, 1e-2, "dkey");
}

INSTANTIATE_TEST_SUITE_P(Sizes, RotaryOnDevice,
                         ::testing::Values(16, 64, 128, 256));

}  // namespace
}  // namespace varalign::model
