#include "model/low_rank.h"

#include <ATen/ATen.h>
#include <ATen/record_function.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <memory>
#include <string>
#include <vector>

#include "model/elementwise.h"
#include "model/linear.h"
#include "tests/testing/tensor_distance.h"

namespace varalign::model {
namespace {

using ::varalign::testing::Distance;

constexpr double kScale = 1.5;

at::Tensor Random(at::IntArrayRef shape) {
  return at::randn(shape, at::TensorOptions().dtype(at::kDouble)) * 0.5;
}

at::Tensor Leaf(at::IntArrayRef shape) {
  return Random(shape).detach().requires_grad_();
}

// A matrix [9, 6] whose rows [0, 4) and [6, 9) have parts of rank 2.
struct Matrix {
  Matrix() { at::manual_seed(7); }

  // The formula by ATen's own differentiable operations.
  at::Tensor Plain(const at::Tensor& x) const {
    at::Tensor y = at::linear(x, linear.weight, linear.bias);
    for (size_t i = 0; i < 2; ++i) {
      const LowRank::Part& part = linear.low_rank.parts[i];
      const at::Tensor low =
          x.mm(linear.low_rank.PartA(i).t()).mm(part.b.t()) * kScale;
      y = y + at::constant_pad_nd(
                  low, {part.row_begin, 9 - part.row_begin - part.b.size(0)});
    }
    return y;
  }
  std::vector<at::Tensor> leaves() const {
    return {linear.low_rank.a, linear.low_rank.parts[0].b,
            linear.low_rank.parts[1].b};
  }

  LinearParameters linear{
      .weight = Random({9, 6}),
      .bias = Random({9}),
      .low_rank = {.a = Leaf({4, 6}),
                   .parts = {{.name = "q", .row_begin = 0, .b = Leaf({4, 2})},
                             {.name = "v", .row_begin = 6, .b = Leaf({3, 2})}},
                   .scale = kScale}};
};

// The names of the operations that `body` runs on this thread.
template <typename Body>
std::vector<std::string> OperationsOf(const Body& body) {
  static thread_local std::vector<std::string> names;
  names.clear();
  const auto handle = at::addThreadLocalCallback(
      at::RecordFunctionCallback([](const at::RecordFunction& function)
                                     -> std::unique_ptr<at::ObserverContext> {
        names.emplace_back(function.name());
        return nullptr;
      }).scopes({at::RecordScope::FUNCTION}));
  body();
  at::removeCallback(handle);
  return names;
}

int64_t Products(const std::vector<std::string>& operations) {
  return std::count_if(operations.begin(), operations.end(),
                       [](const std::string& name) {
                         return name == "aten::mm" || name == "aten::addmm_" ||
                                name == "aten::addmm";
                       });
}

TEST(LowRankTest, ForwardAndBackwardEqualThePlainFormula) {
  const Matrix matrix;
  const at::Tensor x = Leaf({5, 6});
  const at::Tensor weights = Random({5, 9});
  const at::Tensor ours = Linear(x, matrix.linear);
  (ours * weights).sum().backward();
  std::vector<at::Tensor> gradients = {x.grad().clone()};
  for (const at::Tensor& leaf : matrix.leaves()) {
    gradients.push_back(leaf.grad().clone());
    leaf.mutable_grad().reset();
  }
  x.mutable_grad().reset();
  const at::Tensor plain = matrix.Plain(x);
  (plain * weights).sum().backward();
  EXPECT_LT(Distance(ours, plain), 1e-14);
  EXPECT_LT(Distance(gradients[0], x.grad()), 1e-14);
  for (size_t i = 0; i < 3; ++i) {
    EXPECT_LT(Distance(gradients[i + 1], matrix.leaves()[i].grad()), 1e-14)
        << i;
  }
}

TEST(LowRankTest, GradientsAddUpWhereTheyHaveMemory) {
  const Matrix matrix;
  const at::Tensor x = Leaf({5, 6});
  Linear(x, matrix.linear).square().sum().backward();
  std::vector<at::Tensor> once;
  for (const at::Tensor& leaf : matrix.leaves()) {
    once.push_back(leaf.grad().clone());
    leaf.mutable_grad() = at::ones_like(leaf);
  }
  Linear(x, matrix.linear).square().sum().backward();
  for (size_t i = 0; i < 3; ++i) {
    EXPECT_LT(Distance(matrix.leaves()[i].grad(), once[i] + 1), 1e-14) << i;
  }
}

TEST(LowRankTest, AnInputThatIsFormedAgainGivesTheSameBits) {
  const Matrix matrix;
  const at::Tensor gate_up = Leaf({5, 12});
  std::vector<std::vector<at::Tensor>> gradients;
  for (const bool again : {false, true}) {
    for (const at::Tensor& leaf : matrix.leaves()) leaf.mutable_grad().reset();
    gate_up.mutable_grad().reset();
    Linear(SwiGlu(gate_up), matrix.linear,
           again ? Recipe::SwiGlu(gate_up) : Recipe())
        .square()
        .sum()
        .backward();
    gradients.push_back({gate_up.grad().clone()});
    for (const at::Tensor& leaf : matrix.leaves()) {
      gradients.back().push_back(leaf.grad().clone());
    }
  }
  for (size_t i = 0; i < gradients[0].size(); ++i) {
    EXPECT_TRUE(at::equal(gradients[0][i], gradients[1][i])) << i;
  }
}

TEST(LowRankTest, TilesAndTheMergedMatrixComputeTheSame) {
  const Matrix matrix;
  const at::Tensor x = Random({kTileRows * 2, 6});
  const at::Tensor y = Linear(x, matrix.linear);
  EXPECT_LT(Distance(TiledLinear(x, matrix.linear), y), 1e-14);
  const LinearParameters merged{
      .weight = Merged(matrix.linear.weight, matrix.linear.low_rank),
      .bias = matrix.linear.bias};
  EXPECT_LT(Distance(Linear(x, merged), y), 1e-14);
}

// dx alone; and with a low-rank part, per part dh and dB, then dA and dx's two.
TEST(LowRankTest, NoGradientOfAFrozenMatrixIsComputed) {
  const Matrix matrix;
  const at::Tensor x = Leaf({5, 6});
  const LinearParameters frozen{.weight = matrix.linear.weight,
                                .bias = matrix.linear.bias};
  const auto backward_of = [](const at::Tensor& y) {
    const at::Tensor sum = y.sum();
    return Products(OperationsOf([&] { sum.backward(); }));
  };
  EXPECT_EQ(backward_of(Linear(x, frozen)), 1);
  EXPECT_EQ(backward_of(Linear(x, matrix.linear)), 2 + 2 + 1 + 2);
  // Nobody asks for the gradient of what no parameter made.
  EXPECT_EQ(backward_of(Linear(x.detach(), matrix.linear)), 2 + 2 + 1);
  LinearParameters trained = frozen;
  trained.weight = matrix.linear.weight.clone().requires_grad_();
  EXPECT_EQ(backward_of(Linear(x, trained)), 2);
}

}  // namespace
}  // namespace varalign::model
