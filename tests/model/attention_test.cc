#include "model/attention.h"

#include <ATen/ATen.h>
#include <ATen/Parallel.h>

#include <cmath>

#include "model/attention_kernel.h"
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

std::shared_ptr<AttentionLayout> Layout(base::PackedLayout packed,
                                        int64_t num_tokens,
                                        at::ScalarType dtype) {
  auto layout = std::make_shared<AttentionLayout>();
  layout->positions = packed.Positions(num_tokens);
  layout->rotary =
      MakeRotaryTable({.head_dim = kDim}, packed.NumPositions(), dtype);
  layout->packed = std::move(packed);
  layout->heads = kHeads;
  layout->kv_heads = kKvHeads;
  layout->dim = kDim;
  return layout;
}

std::shared_ptr<AttentionLayout> Layout(const std::vector<int64_t>& cu_seqlens,
                                        int64_t num_tokens,
                                        at::ScalarType dtype) {
  return Layout(base::PackedLayout::OfSequences(cu_seqlens), num_tokens, dtype);
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

// Blocks of every kind: prompts and responses of one token, around the block
// size of the kernel and above it, a prompt without responses, empty ones.
base::PackedLayout SharedBlocks() {
  base::PackedLayout packed;
  packed.Append(1);
  packed.Append(70);
  packed.Append(33);
  packed.Append(130);
  for (int i = 0; i < 12; ++i) packed.Append(1 + 11 * (i % 7), 1);
  packed.Append(65, 0);
  packed.Append(0, 0);
  packed.Append(1, 0);
  packed.Append(129, 3);
  return packed;
}

class SharedBlocksTest : public ::testing::Test {
 protected:
  const base::PackedLayout packed_ = SharedBlocks();
  const int64_t num_rows_ = packed_.num_rows() + 5;  // and a tail

  at::Tensor Qkv(at::ScalarType dtype) const {
    return Normals({num_rows_, kWidth}, dtype);
  }
  at::Tensor Rows(const at::Tensor& tensor, size_t segment) const {
    return tensor.narrow(0, packed_.begin(segment), packed_.length(segment));
  }
  // Gradient of sum(out * dout).
  at::Tensor Gradient(const at::Tensor& qkv, const at::Tensor& dout) const {
    const at::Tensor leaf = qkv.clone().requires_grad_();
    RotaryAttention(leaf, Layout(packed_, num_rows_, qkv.scalar_type()))
        .backward(dout);
    return leaf.grad();
  }
};

// A softmax over own scores (0, 1) with values (1, 2), merged by log-sum-exp
// with one over seen scores (2, -1) with values (-1, 4): what a device's two
// calls give.
TEST(AttendForwardTest, EqualsTheMergeOfItsTwoParts) {
  const double q[] = {1, 1}, k[] = {0, 1}, v[] = {1, 2};
  const double seen_k[] = {2, -1}, seen_v[] = {-1, 4};
  double out[2], lse[2];
  AttendForward(AttentionTask<double>{.q = q,
                                      .keys = {k, v, 2},
                                      .seen = {seen_k, seen_v, 2},
                                      .stride = 1,
                                      .out = out,
                                      .out_stride = 1,
                                      .lse = lse,
                                      .dim = 1});
  EXPECT_NEAR(out[1], 0.0452301082, 1e-10);
  EXPECT_NEAR(lse[1], 2.4401896986, 1e-10);
}

TEST_F(SharedBlocksTest, EqualPlainAttentionInFloat64) {
  const auto layout = Layout(packed_, num_rows_, at::kDouble);
  const at::Tensor qkv = Qkv(at::kDouble);
  const at::Tensor dout = Normals({num_rows_, kHeads * kDim}, at::kDouble);
  const at::Tensor plain = qkv.clone().requires_grad_();
  const at::Tensor expected = PlainAttention(plain, *layout);
  EXPECT_LT(LargestDifference(RotaryAttention(qkv, layout), expected), 1e-13);
  expected.backward(dout);
  EXPECT_LT(LargestDifference(Gradient(qkv, dout), plain.grad()), 1e-12);
}

TEST_F(SharedBlocksTest, Float32IsWithinItsRounding) {
  const at::Tensor qkv = Qkv(at::kFloat);
  const at::Tensor dout = Normals({num_rows_, kHeads * kDim}, at::kFloat);
  const at::Tensor out =
      RotaryAttention(qkv, Layout(packed_, num_rows_, at::kFloat));
  const at::Tensor exact = RotaryAttention(
      qkv.to(at::kDouble), Layout(packed_, num_rows_, at::kDouble));
  EXPECT_LT(LargestDifference(out.to(at::kDouble), exact), 5e-6);
  const at::Tensor gradient = Gradient(qkv, dout).to(at::kDouble);
  const at::Tensor exact_gradient =
      Gradient(qkv.to(at::kDouble), dout.to(at::kDouble));
  EXPECT_LT((gradient - exact_gradient).norm().item<double>(),
            1e-6 * exact_gradient.norm().item<double>());
}

TEST_F(SharedBlocksTest, BlocksDoNotTouchOneAnother) {
  const auto layout = Layout(packed_, num_rows_, at::kFloat);
  const at::Tensor qkv = Qkv(at::kFloat);
  const at::Tensor dout = Normals({num_rows_, kHeads * kDim}, at::kFloat);
  at::Tensor changed = qkv.clone(), dchanged = dout.clone();
  const std::vector<std::vector<size_t>> blocks = packed_.Blocks();
  for (const size_t segment : blocks[1]) {
    Rows(changed, segment).normal_();
    Rows(dchanged, segment).normal_();
  }
  const at::Tensor before = RotaryAttention(qkv, layout);
  const at::Tensor after = RotaryAttention(changed, layout);
  const at::Tensor gradient = Gradient(qkv, dout);
  const at::Tensor changed_gradient = Gradient(changed, dchanged);
  for (size_t s = 0; s < packed_.num_segments(); ++s) {
    if (packed_.length(s) == 0) continue;
    const bool is_changed =
        s == 1 || (packed_.is_continuation(s) && packed_.continued(s) == 1);
    EXPECT_NE(at::equal(Rows(before, s), Rows(after, s)), is_changed) << s;
    EXPECT_NE(at::equal(Rows(gradient, s), Rows(changed_gradient, s)),
              is_changed)
        << s;
  }
}

// A response's rows are the same bits whoever stands beside it.
TEST_F(SharedBlocksTest, ContinuationsDoNotSeeOneAnother) {
  const at::Tensor qkv = Qkv(at::kFloat);
  const at::Tensor all =
      RotaryAttention(qkv, Layout(packed_, num_rows_, at::kFloat));
  for (const size_t segment : {size_t{5}, size_t{10}, size_t{15}}) {
    base::PackedLayout alone;
    alone.Append(packed_.length(1));
    alone.Append(packed_.length(segment), 0);
    const at::Tensor two = at::cat({Rows(qkv, 1), Rows(qkv, segment)});
    const at::Tensor out =
        RotaryAttention(two, Layout(alone, alone.num_rows(), at::kFloat));
    EXPECT_TRUE(at::equal(out.narrow(0, alone.begin(1), alone.length(1)),
                          Rows(all, segment)))
        << segment;
  }
}

TEST_F(SharedBlocksTest, BitsDoNotDependOnThreads) {
  const auto layout = Layout(packed_, num_rows_, at::kFloat);
  const at::Tensor qkv = Qkv(at::kFloat);
  const at::Tensor dout = Normals({num_rows_, kHeads * kDim}, at::kFloat);
  const int threads = at::get_num_threads();
  std::vector<at::Tensor> outs, gradients;
  for (const int count : {1, 2, 3, 5}) {
    at::set_num_threads(count);
    outs.push_back(RotaryAttention(qkv, layout));
    gradients.push_back(Gradient(qkv, dout));
  }
  at::set_num_threads(threads);
  for (size_t i = 1; i < outs.size(); ++i) {
    EXPECT_TRUE(at::equal(outs[0], outs[i])) << i;
    EXPECT_TRUE(at::equal(gradients[0], gradients[i])) << i;
  }
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

}  // namespace
}  // namespace varalign::model
