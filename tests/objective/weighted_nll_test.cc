#include "objective/weighted_nll.h"

#include <ATen/ATen.h>
#include <c10/core/GradMode.h>
#include <gtest/gtest.h>

#include <utility>
#include <vector>

#include "tests/testing/watching_allocator.h"

namespace varalign::objective {
namespace {

struct Case {
  at::Tensor hidden, lm_head, targets, weights;
};

Case MakeCase(int64_t rows, int64_t width, int64_t vocabulary,
              at::ScalarType dtype) {
  at::manual_seed(3);
  Case c;
  c.hidden = at::randn({rows, width}, dtype).requires_grad_();
  c.lm_head = at::randn({vocabulary, width}, dtype).requires_grad_();
  c.targets = at::randint(vocabulary, {rows}, at::kLong);
  c.weights = at::rand({rows}, dtype) * 3;
  return c;
}

// sum_t w_t * cross entropy, by libtorch's own operators.
at::Tensor Oracle(const Case& c) {
  const at::Tensor nll =
      at::cross_entropy_loss(at::matmul(c.hidden, c.lm_head.t()), c.targets,
                             /*weight=*/{}, at::Reduction::None);
  return (nll * c.weights).sum();
}

WeightedNll Loss(const Case& c, int64_t chunk_rows = 1024) {
  return WeightedNllLoss(c.hidden, c.lm_head, c.targets, c.weights, chunk_rows);
}

// Largest difference over the largest magnitude.
double RelativeError(const at::Tensor& got, const at::Tensor& want) {
  return ((got - want).abs().max() / want.abs().max()).item<double>();
}

TEST(WeightedNllTest, EqualsCrossEntropyInLossAndGradients) {
  const struct {
    at::ScalarType dtype;
    double tolerance;
  } kDtypes[] = {{at::kFloat, 2e-6}, {at::kDouble, 1e-14}};
  for (const auto& [dtype, tolerance] : kDtypes) {
    for (const int64_t chunk_rows : {1, 5, 7, 1024}) {
      const Case ours = MakeCase(17, 6, 31, dtype);
      const Case theirs = MakeCase(17, 6, 31, dtype);
      const WeightedNll result = Loss(ours, chunk_rows);
      const at::Tensor expected = Oracle(theirs);
      result.loss.backward();
      expected.backward();
      EXPECT_LT(RelativeError(result.loss, expected), tolerance);
      EXPECT_LT(RelativeError(ours.hidden.grad(), theirs.hidden.grad()),
                tolerance);
      EXPECT_LT(RelativeError(ours.lm_head.grad(), theirs.lm_head.grad()),
                tolerance);
      EXPECT_EQ(result.loss.scalar_type(), dtype);
      EXPECT_EQ(result.nll.scalar_type(), dtype);
      EXPECT_FALSE(result.nll.requires_grad());
    }
  }
}

// loss = sum over pieces of (sum of the piece's nll)^2: each row's weight is
// twice the piece's sum.
class SquaredSums final : public RowWeigher {
 public:
  explicit SquaredSums(std::vector<int64_t> ends) : ends_(std::move(ends)) {}

  std::vector<int64_t> PieceEnds() const override { return ends_; }

  double Weigh(int64_t begin, const at::Tensor& nll,
               at::Tensor& weights) override {
    EXPECT_EQ(begin, next_);
    next_ += nll.size(0);
    const double sum = nll.sum().item<double>();
    weights.fill_(2 * sum);
    return sum * sum;
  }

 private:
  const std::vector<int64_t> ends_;
  int64_t next_ = 0;
};

// A piece within a chunk, one that fills two, and one of a single row.
TEST(WeightedNllTest, WeigherSeesWholePiecesWhateverTheChunks) {
  const std::vector<int64_t> ends = {4, 14, 15, 17};
  for (const int64_t chunk_rows : {1, 5, 6, 1024}) {
    const Case ours = MakeCase(17, 6, 31, at::kDouble);
    const Case theirs = MakeCase(17, 6, 31, at::kDouble);
    SquaredSums weigher(ends);
    const WeightedNll result = WeightedNllLoss(
        ours.hidden, ours.lm_head, ours.targets, weigher, chunk_rows);
    const at::Tensor nll = at::cross_entropy_loss(
        at::matmul(theirs.hidden, theirs.lm_head.t()), theirs.targets,
        /*weight=*/{}, at::Reduction::None);
    at::Tensor expected = at::zeros({}, at::kDouble);
    int64_t begin = 0;
    for (const int64_t end : ends) {
      expected = expected + nll.narrow(0, begin, end - begin).sum().square();
      begin = end;
    }
    result.loss.backward();
    expected.backward();
    EXPECT_LT(RelativeError(result.loss, expected), 1e-13);
    EXPECT_LT(RelativeError(ours.hidden.grad(), theirs.hidden.grad()), 1e-12);
    EXPECT_LT(RelativeError(ours.lm_head.grad(), theirs.lm_head.grad()), 1e-12);
  }
}

TEST(WeightedNllTest, PiecesMustEndAtTheLastRow) {
  const Case c = MakeCase(5, 3, 7, at::kDouble);
  for (const std::vector<int64_t>& ends :
       {std::vector<int64_t>{3}, {3, 6}, {3, 3, 5}}) {
    SquaredSums weigher(ends);
    EXPECT_THROW(WeightedNllLoss(c.hidden, c.lm_head, c.targets, weigher),
                 c10::Error);
  }
}

TEST(WeightedNllTest, GradientsEqualFiniteDifferences) {
  const Case c = MakeCase(5, 3, 7, at::kDouble);
  Loss(c).loss.backward();
  const auto check = [&](const at::Tensor& leaf) {
    const at::Tensor values = leaf.detach().view({-1});
    const at::Tensor gradient = leaf.grad().reshape({-1});
    constexpr double kStep = 1e-5;
    for (int64_t i = 0; i < values.size(0); ++i) {
      const c10::NoGradGuard no_grad;
      const double value = values[i].item<double>();
      values[i] = value + kStep;
      const double above = Loss(c).loss.item<double>();
      values[i] = value - kStep;
      const double below = Loss(c).loss.item<double>();
      values[i] = value;
      EXPECT_NEAR(gradient[i].item<double>(), (above - below) / (2 * kStep),
                  1e-8);
    }
  };
  check(c.hidden);
  check(c.lm_head);
}

TEST(WeightedNllTest, GradientOfTheLogitsIsWeightTimesSoftmaxMinusOneHot) {
  // hidden is the identity, so that lm_head's columns are the rows' logits.
  const at::Tensor hidden = at::eye(4, at::kDouble);
  const at::Tensor logits = at::randn({9, 4}, at::kDouble).requires_grad_();
  const at::Tensor targets = at::tensor({0, 8, 3, 3}, at::kLong);
  const at::Tensor weights = at::tensor({1.0, 0.0, 2.5, 0.25}, at::kDouble);
  WeightedNllLoss(hidden, logits, targets, weights).loss.backward();
  at::Tensor expected = at::softmax(logits.detach(), 0);
  for (int64_t t = 0; t < 4; ++t) expected[targets[t].item<int64_t>()][t] -= 1;
  expected *= weights;
  EXPECT_LT(RelativeError(logits.grad(), expected), 1e-14);
}

TEST(WeightedNllTest, WeightsAreConstants) {
  Case c = MakeCase(4, 3, 5, at::kDouble);
  c.weights = at::rand({4}, at::kDouble).requires_grad_();
  Loss(c).loss.backward();
  EXPECT_FALSE(c.weights.grad().defined());
}

TEST(WeightedNllTest, WithoutAGradientItOnlyScores) {
  const Case c = MakeCase(8, 3, 5, at::kFloat);
  at::Tensor scored;
  {
    const c10::NoGradGuard no_grad;
    const WeightedNll result = Loss(c, 3);
    EXPECT_FALSE(result.loss.requires_grad());
    scored = result.nll;
  }
  EXPECT_TRUE(at::equal(scored, Loss(c, 3).nll));
  EXPECT_FALSE(c.lm_head.grad().defined());
}

TEST(WeightedNllTest, FrozenHeadGetsNoGradient) {
  Case c = MakeCase(8, 3, 5, at::kDouble);
  const Case reference = MakeCase(8, 3, 5, at::kDouble);
  c.lm_head = c.lm_head.detach();
  Loss(c).loss.backward();
  Oracle(reference).backward();
  EXPECT_LT(RelativeError(c.hidden.grad(), reference.hidden.grad()), 1e-14);
  EXPECT_FALSE(c.lm_head.grad().defined());
}

TEST(WeightedNllTest, AddsIntoAnExistingGradientOfTheHead) {
  const Case ours = MakeCase(9, 4, 11, at::kDouble);
  const Case theirs = MakeCase(9, 4, 11, at::kDouble);
  // A view of flat gradients, as the trainer has it.
  const at::Tensor flat = at::ones({3 + 11 * 4}, at::kDouble);
  ours.lm_head.mutable_grad() = flat.narrow(0, 3, 44).view({11, 4});
  Loss(ours, 4).loss.backward();
  Loss(ours, 4).loss.backward();  // a second micro-batch
  Oracle(theirs).backward();
  EXPECT_EQ(ours.lm_head.grad().const_data_ptr(),
            flat.narrow(0, 3, 44).const_data_ptr());
  EXPECT_LT(RelativeError(flat.narrow(0, 3, 44).view({11, 4}),
                          2 * theirs.lm_head.grad() + 1),
            1e-14);
  EXPECT_TRUE(at::equal(flat.narrow(0, 0, 3), at::ones({3}, at::kDouble)));
}

TEST(WeightedNllTest, TiedEmbeddingEndsInOneBuffer) {
  const auto gradient = [](bool ours) {
    at::manual_seed(5);
    const at::Tensor table = at::randn({11, 4}, at::kDouble).requires_grad_();
    const at::Tensor ids = at::tensor({1, 4, 4, 9}, at::kLong);
    const at::Tensor targets = at::tensor({4, 4, 9, 0}, at::kLong);
    const at::Tensor weights = at::tensor({0.5, 2.0, 1.0, 3.0}, at::kDouble);
    const at::Tensor hidden = at::embedding(table, ids).tanh();
    const at::Tensor buffer = at::zeros({11, 4}, at::kDouble);
    if (ours) {
      table.mutable_grad() = buffer;
      WeightedNllLoss(hidden, table, targets, weights).loss.backward();
      EXPECT_EQ(table.grad().const_data_ptr(), buffer.const_data_ptr());
    } else {
      Oracle({hidden, table, targets, weights}).backward();
    }
    return table.grad();
  };
  EXPECT_LT(RelativeError(gradient(true), gradient(false)), 1e-14);
}

TEST(WeightedNllTest, ScalesByGradOutputWhereNoBufferIsFilled) {
  const Case once = MakeCase(5, 3, 7, at::kDouble);
  const Case scaled = MakeCase(5, 3, 7, at::kDouble);
  Loss(once).loss.backward();
  (Loss(scaled).loss * 0.25).backward();
  EXPECT_LT(RelativeError(scaled.hidden.grad() * 4, once.hidden.grad()), 1e-14);
  EXPECT_LT(RelativeError(scaled.lm_head.grad() * 4, once.lm_head.grad()),
            1e-14);

  scaled.lm_head.mutable_grad() = at::zeros({7, 3}, at::kDouble);
  EXPECT_THROW((Loss(scaled).loss * 0.25).backward(), c10::Error);
}

TEST(WeightedNllTest, NoRowsCostNothing) {
  const Case c = MakeCase(0, 3, 7, at::kFloat);
  const WeightedNll result = Loss(c);
  result.loss.backward();
  EXPECT_EQ(result.loss.item<float>(), 0);
  EXPECT_EQ(c.lm_head.grad().abs().max().item<float>(), 0);
}

TEST(WeightedNllTest, FarLogitsStayFinite) {
  const at::Tensor hidden =
      at::tensor({1e4, -1e4}, at::kFloat).view({2, 1}).requires_grad_();
  const at::Tensor lm_head =
      at::tensor({1.0, -1.0, 0.5}, at::kFloat).view({3, 1});
  const WeightedNll result =
      WeightedNllLoss(hidden, lm_head, at::tensor({1, 1}, at::kLong),
                      at::ones({2}, at::kFloat));
  result.loss.backward();
  EXPECT_EQ(result.nll[0].item<float>(), 2e4f);
  EXPECT_EQ(result.nll[1].item<float>(), 0);
  EXPECT_TRUE(at::isfinite(hidden.grad()).all().item<bool>());
}

TEST(WeightedNllTest, RefusesShapesAndDtypesThatDoNotFit) {
  const Case c = MakeCase(4, 3, 5, at::kFloat);
  EXPECT_THROW(WeightedNllLoss(c.hidden, c.lm_head.t(), c.targets, c.weights),
               c10::Error);
  EXPECT_THROW(WeightedNllLoss(c.hidden, c.lm_head.to(at::kDouble), c.targets,
                               c.weights),
               c10::Error);
  EXPECT_THROW(WeightedNllLoss(c.hidden, c.lm_head, c.targets,
                               c.weights.narrow(0, 0, 3)),
               c10::Error);
}

TEST(WeightedNllTest, MakesNeitherAllLogitsNorASecondHead) {
  // [R, V] is 4 MB, [V, H] 1 MB, a chunk of logits 64 KB.
  const Case c = MakeCase(256, 64, 4096, at::kFloat);
  c.lm_head.mutable_grad() = at::zeros_like(c.lm_head);
  const testing::WatchingAllocator watching;
  Loss(c, 4).loss.backward();
  const size_t largest = watching.largest_bytes();
  EXPECT_GT(largest, 0u);
  EXPECT_LE(largest, size_t{256 * 64 * 4});  // the gradient of hidden
}

}  // namespace
}  // namespace varalign::objective
