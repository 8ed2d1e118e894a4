#include "model/elementwise.h"

#include <ATen/ATen.h>
#include <ATen/Parallel.h>
#include <gtest/gtest.h>

#include "model/head_norm.h"
#include "model/linear.h"
#include "tests/model/plain_decoder.h"

namespace varalign::model {
namespace {

constexpr int64_t kRows = 301;
constexpr int64_t kWidth = 43;
constexpr double kEps = 1e-5;

at::Tensor Leaf(const at::Tensor& tensor) {
  return tensor.clone().requires_grad_();
}

at::Tensor Normals(at::IntArrayRef shape, at::ScalarType dtype = at::kDouble) {
  return at::randn(shape, at::TensorOptions().dtype(dtype));
}

void ExpectNear(const at::Tensor& a, const at::Tensor& b, double tolerance) {
  EXPECT_LT((a - b).abs().max().item<double>(), tolerance);
}

TEST(AddNormTest, EqualsThePlainForm) {
  const at::Tensor residual = Normals({kRows, kWidth});
  const at::Tensor delta = Normals({kRows, kWidth});
  const at::Tensor weight = Normals({kWidth});
  const at::Tensor dx = Normals({kRows, kWidth});
  const at::Tensor dy = Normals({kRows, kWidth});
  at::Tensor ours[] = {Leaf(residual), Leaf(delta), Leaf(weight)};
  at::Tensor plain[] = {Leaf(residual), Leaf(delta), Leaf(weight)};
  const auto [x, y] = AddNorm(ours[0], ours[1], ours[2], kEps);
  const auto [px, py] = PlainAddNorm(plain[0], plain[1], plain[2], kEps);
  ExpectNear(x, px, 1e-15);
  ExpectNear(y, py, 1e-13);
  ((x * dx).sum() + (y * dy).sum()).backward();
  ((px * dx).sum() + (py * dy).sum()).backward();
  for (int i = 0; i < 3; ++i) {
    ExpectNear(ours[i].grad(), plain[i].grad(), 1e-11);
  }
}

TEST(AddNormTest, WorksWithoutDeltaAndWithoutUserOfTheSum) {
  const at::Tensor residual = Normals({kRows, kWidth});
  const at::Tensor weight = Normals({kWidth});
  const at::Tensor ours = Leaf(residual);
  const at::Tensor plain = Leaf(residual);
  const at::Tensor dy = Normals({kRows, kWidth});
  AddNorm(ours, {}, weight, kEps).second.backward(dy);
  PlainAddNorm(plain, {}, weight, kEps).second.backward(dy);
  ExpectNear(ours.grad(), plain.grad(), 1e-12);
}

TEST(AddNormTest, GradientBitsDoNotDependOnThreads) {
  const at::Tensor residual = Normals({kRows, kWidth}, at::kFloat);
  const at::Tensor weight = Normals({kWidth}, at::kFloat);
  const int threads = at::get_num_threads();
  std::vector<at::Tensor> gradients;
  for (const int count : {1, 2, 3}) {
    at::set_num_threads(count);
    const at::Tensor leaf = Leaf(weight);
    AddNorm(residual, {}, leaf, kEps).second.backward(residual);
    gradients.push_back(leaf.grad());
  }
  at::set_num_threads(threads);
  EXPECT_TRUE(at::equal(gradients[0], gradients[1]));
  EXPECT_TRUE(at::equal(gradients[0], gradients[2]));
}

TEST(SwiGluTest, EqualsThePlainForm) {
  const at::Tensor gate_up = Normals({kRows, 2 * kWidth}) * 4;
  const at::Tensor dout = Normals({kRows, kWidth});
  const at::Tensor ours = Leaf(gate_up);
  const at::Tensor plain = Leaf(gate_up);
  const at::Tensor out = SwiGlu(ours);
  const at::Tensor expected = PlainSwiGlu(plain);
  ExpectNear(out, expected, 1e-13);
  out.backward(dout);
  expected.backward(dout);
  ExpectNear(ours.grad(), plain.grad(), 1e-12);
}

TEST(SwiGluTest, Float32SurvivesLargeGates) {
  const at::Tensor gate_up =
      at::tensor({-200.0f, 200.0f, -30.0f, 1.0f, 2.0f, 3.0f}).view({1, 6});
  const at::Tensor ours = Leaf(gate_up);
  const at::Tensor out = SwiGlu(ours);
  ExpectNear(out, PlainSwiGlu(gate_up), 1e-6);
  out.sum().backward();
  EXPECT_TRUE(at::isfinite(ours.grad()).all().item<bool>());
}

TEST(HeadNormTest, EqualsThePlainForm) {
  constexpr int64_t kDim = 6, kKvHeads = 2, kHeads = 5;
  const at::Tensor qkv = Normals({kRows, (kHeads + 2 * kKvHeads) * kDim});
  const at::Tensor dout = Normals(qkv.sizes());
  const at::Tensor norms = Normals({2, kDim});
  const at::Tensor ours[] = {Leaf(qkv), Leaf(norms[0]), Leaf(norms[1])};
  const at::Tensor plain[] = {Leaf(qkv), Leaf(norms[0]), Leaf(norms[1])};
  const at::Tensor out = HeadNorm(ours[0], ours[1], ours[2], kKvHeads, kEps);
  const at::Tensor expected =
      PlainHeadNorm(plain[0], plain[1], plain[2], kKvHeads, kEps);
  ExpectNear(out, expected, 1e-13);
  out.backward(dout);
  expected.backward(dout);
  for (int i = 0; i < 3; ++i) {
    ExpectNear(ours[i].grad(), plain[i].grad(), 1e-11);
  }
}

TEST(HeadNormTest, AddsGradientsWhereTheyAreWhateverTheThreads) {
  const at::Tensor qkv = Normals({kRows, 36}, at::kFloat);
  const int threads = at::get_num_threads();
  std::vector<at::Tensor> gradients;
  for (const int count : {1, 2, 3}) {
    at::set_num_threads(count);
    const at::Tensor norms[] = {Leaf(at::ones({4})), Leaf(at::ones({4}))};
    HeadNorm(qkv, norms[0], norms[1], 2, kEps).backward(qkv);
    const void* memory = norms[0].grad().data_ptr();
    const at::Tensor once = norms[0].grad().clone();
    HeadNorm(qkv, norms[0], norms[1], 2, kEps).backward(qkv);
    EXPECT_EQ(norms[0].grad().data_ptr(), memory);
    ExpectNear(norms[0].grad(), 2 * once, 1e-5);
    gradients.push_back(at::cat({norms[0].grad(), norms[1].grad()}));
  }
  at::set_num_threads(threads);
  EXPECT_TRUE(at::equal(gradients[0], gradients[1]));
  EXPECT_TRUE(at::equal(gradients[0], gradients[2]));
}

TEST(LinearTest, AddsTheBiasAndItsGradient) {
  const at::Tensor x = Leaf(Normals({kRows, kWidth}));
  const LinearParameters layer{.weight = Leaf(Normals({17, kWidth})),
                               .bias = Leaf(Normals({17}))};
  const at::Tensor dy = Normals({kRows, 17});
  const at::Tensor y = Linear(x, layer);
  ExpectNear(y, x.mm(layer.weight.t()) + layer.bias, 1e-12);
  y.backward(dy);
  ExpectNear(layer.bias.grad(), dy.sum(0), 1e-11);
  ExpectNear(layer.weight.grad(), dy.t().mm(x.detach()), 1e-11);
  const void* memory = layer.bias.grad().data_ptr();
  Linear(x, layer).backward(dy);
  EXPECT_EQ(layer.bias.grad().data_ptr(), memory);
  ExpectNear(layer.bias.grad(), 2 * dy.sum(0), 1e-11);
}

TEST(LinearTest, ComputesNoGradientThatNobodyWants) {
  const at::Tensor x = Normals({kRows, kWidth});
  const LinearParameters frozen{.weight = Normals({17, kWidth}),
                                .bias = Normals({17})};
  EXPECT_FALSE(Linear(x, frozen).requires_grad());
  const at::Tensor leaf = Leaf(x);
  Linear(leaf, frozen).backward(at::ones({kRows, 17}, at::kDouble));
  EXPECT_TRUE(leaf.grad().defined());
  EXPECT_FALSE(frozen.weight.grad().defined());
  EXPECT_FALSE(frozen.bias.grad().defined());
}

TEST(LinearTest, AddsTheWeightGradientToTheMemoryThatIsThere) {
  const at::Tensor x = Leaf(Normals({kRows, kWidth}));
  const at::Tensor weight = Leaf(Normals({17, kWidth}));
  const at::Tensor dy = Normals({kRows, 17});
  Linear(x, {.weight = weight}).backward(dy);
  ExpectNear(weight.grad(), dy.t().mm(x.detach()), 1e-11);
  ExpectNear(x.grad(), dy.mm(weight.detach()), 1e-11);
  const void* memory = weight.grad().data_ptr();
  Linear(x, {.weight = weight}).backward(dy);
  EXPECT_EQ(weight.grad().data_ptr(), memory);
  ExpectNear(weight.grad(), 2 * dy.t().mm(x.detach()), 1e-11);
}

TEST(EmbedTest, AddsRowsOfRepeatedTokens) {
  const at::Tensor weight = Leaf(Normals({5, 3}));
  const at::Tensor tokens = at::tensor({4, 0, 4}).to(at::kLong);
  for (int i = 1; i <= 2; ++i) {
    Embed(tokens, weight).backward(at::ones({3, 3}, at::kDouble));
    EXPECT_EQ(weight.grad()[4].sum().item<double>(), 6.0 * i);
    EXPECT_EQ(weight.grad()[0].sum().item<double>(), 3.0 * i);
    EXPECT_EQ(weight.grad()[1].sum().item<double>(), 0);
  }
}

// A row moved through every position of a tile gives the same bits, and in the
// second tile too.
TEST(TiledLinearTest, BitsDoNotDependOnThePositionInATile) {
  const LinearParameters layer{.weight = Normals({219, 128}, at::kFloat),
                               .bias = Normals({219}, at::kFloat)};
  const at::Tensor row = Normals({1, 128}, at::kFloat);
  at::Tensor x = Normals({2 * kTileRows, 128}, at::kFloat);
  x.narrow(0, 0, 1).copy_(row);
  const at::Tensor expected = TiledLinear(x, layer).narrow(0, 0, 1).clone();
  for (int64_t i = 0; i < x.size(0); i += i < kTileRows ? 1 : 37) {
    at::Tensor moved = x.roll(i, 0);
    moved.narrow(0, i, 1).copy_(row);
    ASSERT_TRUE(at::equal(TiledLinear(moved, layer).narrow(0, i, 1), expected))
        << "position " << i;
  }
}

}  // namespace
}  // namespace varalign::model
