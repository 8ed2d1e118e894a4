#include "model/flash_attention.h"

#include <ATen/ATen.h>
#include <gtest/gtest.h>

#include <cmath>
#include <utility>
#include <vector>

#include "tests/cuda/device_array.h"
#include "tests/cuda/torch_cuda.h"

namespace varalign::model {
namespace {

using testing::ExpectBf16;
using testing::RandomBf16;

constexpr int64_t kHeads = 4;
constexpr int64_t kKvHeads = 2;
constexpr int64_t kDim = 64;

at::Tensor There(const at::Tensor& host) { return host.to(at::kCUDA); }

at::Tensor Ends(const std::vector<int32_t>& ends) {
  return There(at::tensor(ends, at::kInt));
}

// The plain path of one segment, [rows, heads, dim] each, in float64.
at::Tensor Attend(const at::Tensor& q, const at::Tensor& k, const at::Tensor& v,
                  FlashMask mask, double scale) {
  const int64_t group = kHeads / kKvHeads;
  const at::Tensor keys = k.repeat_interleave(group, 1).permute({1, 2, 0});
  const at::Tensor values = v.repeat_interleave(group, 1).permute({1, 0, 2});
  at::Tensor scores = at::matmul(q.permute({1, 0, 2}), keys) * scale;
  if (mask == FlashMask::kCausal) {
    const at::Tensor hidden =
        at::ones({q.size(0), k.size(0)}, at::kBool).triu(1);
    scores = scores.masked_fill(hidden, -INFINITY);
  }
  return at::matmul(at::softmax(scores, 2), values).permute({1, 0, 2});
}

TEST(FlashAttentionOnDevice, EqualsThePlainPath) {
  if (const char* error = testing::LoadTorchCuda()) GTEST_SKIP() << error;
  const std::vector<int32_t> ends{0, 37, 38, 300};
  const int64_t rows = ends.back();
  const at::Tensor q = RandomBf16({rows, kHeads, kDim});
  const at::Tensor k = RandomBf16({rows, kKvHeads, kDim});
  const at::Tensor v = RandomBf16({rows, kKvHeads, kDim});
  const at::Tensor dout = RandomBf16({rows, kHeads, kDim});
  for (const FlashMask mask : {FlashMask::kCausal, FlashMask::kFull}) {
    const FlashInputs inputs{.q = There(q),
                             .k = There(k),
                             .v = There(v),
                             .segments = {Ends(ends), Ends(ends), 262, 262},
                             .mask = mask,
                             .scale = 1 / std::sqrt(kDim)};
    const FlashOutput output = FlashAttention(inputs);
    const FlashGradients gradients =
        FlashAttentionBackward(There(dout), inputs, output);

    const at::Tensor pq = q.to(at::kDouble).requires_grad_();
    const at::Tensor pk = k.to(at::kDouble).requires_grad_();
    const at::Tensor pv = v.to(at::kDouble).requires_grad_();
    std::vector<at::Tensor> parts;
    for (size_t s = 0; s + 1 < ends.size(); ++s) {
      const auto part = [&](const at::Tensor& all) {
        return all.narrow(0, ends[s], ends[s + 1] - ends[s]);
      };
      parts.push_back(Attend(part(pq), part(pk), part(pv), mask, inputs.scale));
    }
    const at::Tensor expected = at::cat(parts);
    (expected * dout.to(at::kDouble)).sum().backward();
    ExpectBf16(output.out.cpu(), expected.detach(), "out");
    ExpectBf16(gradients.dq.cpu(), pq.grad(), "dq");
    ExpectBf16(gradients.dk.cpu(), pk.grad(), "dk");
    ExpectBf16(gradients.dv.cpu(), pv.grad(), "dv");
  }
}

}  // namespace
}  // namespace varalign::model
