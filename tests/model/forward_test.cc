#include "model/forward.h"

#include <ATen/ATen.h>

#include "tests/model/golden_model.h"
#include "tests/model/plain_decoder.h"
#include "tests/testing/status_matchers.h"
#include "tests/testing/tensor_distance.h"

namespace varalign::model {
namespace {

using ::varalign::testing::Distance;

constexpr double kLogitTolerance = 1e-4;
constexpr double kGradientTolerance = 1e-4;  // of the gradient's norm

struct Case {
  Parameters parameters;
  Golden golden;
  GoldenBatch batch;
  std::map<std::string, at::Tensor> tensors;
};

absl::StatusOr<Case> LoadCase(const std::string& name, at::ScalarType dtype) {
  Case result;
  ASSIGN_OR_RETURN(result.parameters, LoadModel(GoldenDirectory(name), dtype));
  ASSIGN_OR_RETURN(result.golden, ReadGolden(GoldenDirectory(name)));
  ASSIGN_OR_RETURN(result.tensors,
                   ReadTensors(GoldenDirectory(name) / "golden.safetensors"));
  result.batch = PackGolden(result.golden.rows);
  return result;
}

at::Tensor Loss(const Case& c) {
  const at::Tensor hidden = Forward(c.parameters, c.batch.tokens,
                                    c.batch.cu_seqlens, c.batch.loss_rows);
  return PlainLoss(hidden, c.parameters.lm_head, c.batch);
}

// The gradients of the flat buffer under their Hugging Face names.
std::vector<NamedTensor> NamedGradients(const Parameters& parameters) {
  Parameters view =
      MakeParameters(parameters.config, parameters.gradients.scalar_type());
  view.flat.copy_(parameters.gradients);
  return HuggingFaceTensors(view);
}

class ForwardTest : public ::testing::TestWithParam<std::string> {};

TEST_P(ForwardTest, LogitsEqualTheReference) {
  ASSERT_OK_AND_ASSIGN(const Case c, LoadCase(GetParam(), at::kFloat));
  const at::Tensor hidden =
      Forward(c.parameters, c.batch.tokens, c.batch.cu_seqlens);
  const at::Tensor logits = hidden.mm(c.parameters.lm_head.t());
  const at::Tensor& expected = c.tensors.at("logits");
  EXPECT_GT(expected.std().item<double>(), 0.5);
  EXPECT_LT((logits - expected).abs().max().item<double>(), kLogitTolerance);
}

TEST_P(ForwardTest, LossAndGradientsEqualTheReference) {
  ASSERT_OK_AND_ASSIGN(Case c, LoadCase(GetParam(), at::kFloat));
  EnableGradients(c.parameters);
  const at::Tensor loss = Loss(c);
  const double expected = c.golden.numbers["loss"].get<double>();
  EXPECT_NEAR(loss.item<double>() / expected, 1, 1e-5);
  loss.backward();
  for (const auto& [name, gradient] : NamedGradients(c.parameters)) {
    const at::Tensor& reference = c.tensors.at("gradient." + name);
    EXPECT_GT(reference.norm().item<double>(), 0) << name;
    EXPECT_LT(Distance(gradient, reference), kGradientTolerance) << name;
  }
}

TEST_P(ForwardTest, GradientsOfTwoPassesAddUp) {
  ASSERT_OK_AND_ASSIGN(Case c, LoadCase(GetParam(), at::kDouble));
  EnableGradients(c.parameters);
  Loss(c).backward();
  const at::Tensor once = c.parameters.gradients.clone();
  Loss(c).backward();
  EXPECT_LT((c.parameters.gradients - 2 * once).norm().item<double>(),
            1e-12 * once.norm().item<double>());
}

TEST_P(ForwardTest, Float64EqualsThePlainDecoder) {
  ASSERT_OK_AND_ASSIGN(Case c, LoadCase(GetParam(), at::kDouble));
  EnableGradients(c.parameters);
  const at::Tensor loss = Loss(c);
  loss.backward();
  const at::Tensor ours = c.parameters.gradients.clone();
  c.parameters.gradients.zero_();
  const at::Tensor hidden =
      PlainForward(c.parameters, c.batch.tokens, c.batch.cu_seqlens);
  const at::Tensor plain = PlainLoss(hidden.index_select(0, c.batch.loss_rows),
                                     c.parameters.lm_head, c.batch);
  plain.backward();
  EXPECT_NEAR(loss.item<double>() / plain.item<double>(), 1, 1e-14);
  EXPECT_LT((ours - c.parameters.gradients).norm().item<double>(),
            1e-12 * ours.norm().item<double>());
}

TEST_P(ForwardTest, PackedRowsEqualSeparateRows) {
  ASSERT_OK_AND_ASSIGN(Case c, LoadCase(GetParam(), at::kDouble));
  EnableGradients(c.parameters);
  Loss(c).backward();
  const at::Tensor packed = c.parameters.gradients.clone();
  c.parameters.gradients.zero_();
  const std::vector<GoldenRow> rows = c.golden.rows;
  for (GoldenRow row : rows) {
    row.weight /= static_cast<double>(rows.size());
    c.batch = PackGolden({row});
    Loss(c).backward();
  }
  EXPECT_LT((packed - c.parameters.gradients).norm().item<double>(),
            1e-12 * packed.norm().item<double>());
}

TEST_P(ForwardTest, ChosenRowsEqualThoseOfAll) {
  ASSERT_OK_AND_ASSIGN(const Case c, LoadCase(GetParam(), at::kDouble));
  const at::Tensor all =
      Forward(c.parameters, c.batch.tokens, c.batch.cu_seqlens);
  const at::Tensor chosen = Forward(c.parameters, c.batch.tokens,
                                    c.batch.cu_seqlens, c.batch.loss_rows);
  const at::Tensor expected = all.index_select(0, c.batch.loss_rows);
  EXPECT_LT((chosen - expected).abs().max().item<double>(), 1e-13);
}

TEST_P(ForwardTest, TwoRunsGiveTheSameBits) {
  ASSERT_OK_AND_ASSIGN(Case c, LoadCase(GetParam(), at::kFloat));
  EnableGradients(c.parameters);
  Loss(c).backward();
  const at::Tensor first = c.parameters.gradients.clone();
  c.parameters.gradients.zero_();
  Loss(c).backward();
  EXPECT_TRUE(at::equal(first, c.parameters.gradients));
}

INSTANTIATE_TEST_SUITE_P(Models, ForwardTest,
                         ::testing::ValuesIn(CausalGoldens()), GoldenTestName);

}  // namespace
}  // namespace varalign::model
