#include "model/attention.h"

#include <ATen/ATen.h>
#include <ATen/Parallel.h>

#include "model/rotary.h"
#include "tests/model/golden_model.h"
#include "tests/model/plain_decoder.h"
#include "tests/testing/status_matchers.h"

namespace varalign::model {
namespace {

constexpr int64_t kHeads = 6;
constexpr int64_t kKvHeads = 2;
constexpr int64_t kDim = 10;
constexpr int64_t kWidth = (kHeads + 2 * kKvHeads) * kDim;

std::shared_ptr<AttentionLayout> Layout(std::vector<int64_t> cu_seqlens,
                                        int64_t num_tokens,
                                        at::ScalarType dtype) {
  auto layout = std::make_shared<AttentionLayout>();
  layout->positions = PackedPositions(cu_seqlens, num_tokens);
  layout->rotary =
      MakeRotaryTable({.head_dim = kDim}, LongestSequence(cu_seqlens), dtype);
  layout->cu_seqlens = std::move(cu_seqlens);
  layout->heads = kHeads;
  layout->kv_heads = kKvHeads;
  layout->dim = kDim;
  return layout;
}

at::Tensor Normals(at::IntArrayRef shape, at::ScalarType dtype) {
  return at::randn(shape, at::TensorOptions().dtype(dtype));
}

double LargestDifference(const at::Tensor& a, const at::Tensor& b) {
  return (a - b).abs().max().item<double>();
}

// Lengths 1, around the block size, two blocks and more, none; and a tail.
const std::vector<int64_t> kCuSeqlens = {0, 1, 64, 129, 129, 194, 344};
constexpr int64_t kTokens = 350;

TEST(AttentionTest, EqualsPlainAttentionInFloat64) {
  const auto layout = Layout(kCuSeqlens, kTokens, at::kDouble);
  const at::Tensor qkv = Normals({kTokens, kWidth}, at::kDouble);
  const at::Tensor dout = Normals({kTokens, kHeads * kDim}, at::kDouble);
  const at::Tensor ours = qkv.clone().requires_grad_();
  const at::Tensor plain = qkv.clone().requires_grad_();
  const at::Tensor out = RotaryAttention(ours, layout);
  const at::Tensor expected = PlainAttention(plain, *layout);
  EXPECT_LT(LargestDifference(out, expected), 1e-13);
  out.backward(dout);
  expected.backward(dout);
  EXPECT_LT(LargestDifference(ours.grad(), plain.grad()), 1e-12);
}

TEST(AttentionTest, Float32IsWithinItsRounding) {
  const auto layout = Layout(kCuSeqlens, kTokens, at::kFloat);
  const auto exact = Layout(kCuSeqlens, kTokens, at::kDouble);
  const at::Tensor qkv = Normals({kTokens, kWidth}, at::kFloat);
  const at::Tensor out = RotaryAttention(qkv, layout);
  const at::Tensor expected = PlainAttention(qkv.to(at::kDouble), *exact);
  EXPECT_LT(LargestDifference(out.to(at::kDouble), expected), 5e-6);
}

TEST(AttentionTest, SequencesDoNotSeeOneAnother) {
  const auto layout = Layout(kCuSeqlens, kTokens, at::kFloat);
  const at::Tensor qkv = Normals({kTokens, kWidth}, at::kFloat);
  const at::Tensor before = RotaryAttention(qkv, layout);
  at::Tensor changed = qkv.clone();
  changed.narrow(0, 64, 65).normal_();
  const at::Tensor after = RotaryAttention(changed, layout);
  EXPECT_TRUE(at::equal(before.narrow(0, 0, 64), after.narrow(0, 0, 64)));
  EXPECT_TRUE(at::equal(before.narrow(0, 129, 221), after.narrow(0, 129, 221)));
  EXPECT_FALSE(at::equal(before.narrow(0, 64, 65), after.narrow(0, 64, 65)));
}

TEST(AttentionTest, BitsDoNotDependOnPlaceOrThreads) {
  const at::Tensor one = Normals({150, kWidth}, at::kFloat);
  const at::Tensor alone =
      RotaryAttention(one, Layout({0, 150}, 150, at::kFloat));
  const at::Tensor qkv = at::cat({Normals({77, kWidth}, at::kFloat), one,
                                  Normals({200, kWidth}, at::kFloat)});
  const auto layout = Layout({0, 77, 227, 427}, 427, at::kFloat);
  const int threads = at::get_num_threads();
  for (const int count : {1, 2, 3}) {
    at::set_num_threads(count);
    const at::Tensor out = RotaryAttention(qkv, layout);
    EXPECT_TRUE(at::equal(out.narrow(0, 77, 150), alone)) << count;
  }
  at::set_num_threads(threads);
}

TEST(AttentionTest, GradientBitsDoNotDependOnThreads) {
  const auto layout = Layout(kCuSeqlens, kTokens, at::kFloat);
  const at::Tensor qkv = Normals({kTokens, kWidth}, at::kFloat);
  const at::Tensor dout = Normals({kTokens, kHeads * kDim}, at::kFloat);
  const int threads = at::get_num_threads();
  std::vector<at::Tensor> gradients;
  for (const int count : {1, 2, 5}) {
    at::set_num_threads(count);
    const at::Tensor leaf = qkv.clone().requires_grad_();
    RotaryAttention(leaf, layout).backward(dout);
    gradients.push_back(leaf.grad());
  }
  at::set_num_threads(threads);
  EXPECT_TRUE(at::equal(gradients[0], gradients[1]));
  EXPECT_TRUE(at::equal(gradients[0], gradients[2]));
}

TEST(RotaryTest, Llama3ScalingStretchesSlowFrequenciesOnly) {
  ModelConfig config{.head_dim = 64, .rope_theta = 500000};
  const std::vector<double> plain = RotaryFrequencies(config);
  config.llama3_rope = Llama3RopeScaling{.factor = 32,
                                         .low_freq_factor = 1,
                                         .high_freq_factor = 4,
                                         .original_max_positions = 8192};
  const std::vector<double> stretched = RotaryFrequencies(config);
  EXPECT_EQ(stretched.front(), plain.front());
  EXPECT_DOUBLE_EQ(stretched.back(), plain.back() / 32);
}

TEST(RotaryTest, PositionsRestartAtEachSequence) {
  const std::vector<int64_t> cu_seqlens = {0, 3, 3, 5};
  EXPECT_EQ(PackedPositions(cu_seqlens, 7),
            (std::vector<int32_t>{0, 1, 2, 0, 1, 0, 0}));
  EXPECT_EQ(LongestSequence(cu_seqlens), 3);
}

}  // namespace
}  // namespace varalign::model
