#include "objective/cuda/nll_rows.h"

#include <ATen/ATen.h>
#include <gtest/gtest.h>

#include <cmath>

#include "tests/cuda/device_array.h"

namespace varalign::objective {
namespace {

using testing::DeviceArray;
using testing::ExpectBf16;
using testing::ExpectClose;
using testing::RandomBf16;

constexpr int64_t kRows = 65;

class NllRowsOnDevice : public ::testing::TestWithParam<int64_t> {};

TEST_P(NllRowsOnDevice, EqualsThePlainPath) {
  const int64_t vocabulary = GetParam();
  const int64_t stride = (vocabulary + 7) / 8 * 8;
  const at::Tensor logits = RandomBf16({kRows, stride}, 4);
  const at::Tensor targets = at::randint(0, vocabulary, {kRows}, at::kLong);
  const at::Tensor weights = at::rand({kRows}) * 2;
  const DeviceArray there(logits), ids(targets), w(weights),
      nll(at::zeros({kRows})), lse(at::zeros({kRows}));
  EXPECT_LAUNCHED(LaunchNllRows({.logits = there.bf16(),
                                 .stride = stride,
                                 .targets = ids.As<int64_t>(),
                                 .weights = w.f32(),
                                 .nll = nll.f32(),
                                 .lse = lse.f32(),
                                 .rows = kRows,
                                 .vocabulary = vocabulary},
                                nullptr));

  const at::Tensor plain = logits.narrow(1, 0, vocabulary)
                               .to(at::kDouble)
                               .contiguous()
                               .requires_grad_();
  const at::Tensor expected =
      -at::log_softmax(plain, 1).gather(1, targets.unsqueeze(1)).squeeze(1);
  (expected * weights.to(at::kDouble)).sum().backward();
  ExpectClose(nll.ToHost(), expected.detach(), 1e-5, 1e-4, "nll");
  ExpectClose(lse.ToHost(), at::logsumexp(plain.detach(), {1}), 1e-5, 1e-4,
              "lse");
  ExpectClose(there.ToHost().narrow(1, 0, vocabulary), plain.grad(), 1.0 / 128,
              1e-6, "gradient");
}

INSTANTIATE_TEST_SUITE_P(Vocabularies, NllRowsOnDevice,
                         ::testing::Values(5, 509, 32000, 128256));

TEST(NllRowsRules, ATargetOutsideTheVocabularyIsNotFinite) {
  const DeviceArray logits(RandomBf16({1, 8})), nll(at::zeros({1})),
      target(at::full({1}, 8, at::kLong));
  EXPECT_LAUNCHED(LaunchNllRows({.logits = logits.bf16(),
                                 .stride = 8,
                                 .targets = target.As<int64_t>(),
                                 .nll = nll.f32(),
                                 .rows = 1,
                                 .vocabulary = 8},
                                nullptr));
  EXPECT_TRUE(std::isnan(nll.ToHost().item<float>()));
}

}  // namespace
}  // namespace varalign::objective
