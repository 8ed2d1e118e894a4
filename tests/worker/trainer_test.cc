#include "worker/trainer.h"

#include <ATen/ops/equal.h>
#include <ATen/ops/from_blob.h>

#include <cmath>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "base/clock.h"
#include "base/file.h"
#include "base/json.h"
#include "checkpoint/adapter_directory.h"
#include "collective/local_process_group.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "model/adapter.h"
#include "objective/log_weights.h"
#include "objective/policy_loss.h"
#include "tests/model/golden_model.h"
#include "tests/testing/status_matchers.h"

namespace varalign::worker {
namespace {

// All golden rows as one micro-batch; weights as the rows have them.
LocalBatch GoldenBatchOf(const model::Golden& golden, at::ScalarType dtype) {
  std::vector<data::TokenRow> rows;
  std::vector<double> weights;
  for (const model::GoldenRow& row : golden.rows) {
    rows.push_back({row.prompt, row.response});
    weights.insert(weights.end(), row.response.size(), row.weight);
  }
  LocalBatch batch;
  MicroBatch& micro = batch.micro_batches.emplace_back();
  micro.packed = data::PackRows(rows);
  micro.weights =
      at::from_blob(weights.data(), {static_cast<int64_t>(weights.size())},
                    at::kDouble)
          .clone()
          .to(dtype);
  batch.divisor = static_cast<double>(golden.rows.size());
  return batch;
}

// One rank alone, with the optimizer settings of a golden.
struct OneRank {
  OneRank(model::Parameters parameters, const base::Json& adamw)
      : shards(parameters, {}, *group, clock),
        state(MakeTrainState(std::move(parameters), shards)) {
    state.adamw_options = {.beta1 = adamw["beta1"],
                           .beta2 = adamw["beta2"],
                           .epsilon = adamw["epsilon"],
                           .weight_decay = adamw["weight_decay"]};
    state.max_grad_norm = adamw["max_norm"];
  }

  const base::SystemClock clock;
  collective::LocalHub hub{1, absl::Seconds(10)};
  const std::unique_ptr<collective::ProcessGroup> group = hub.Join(0);
  FlatShards shards;
  TrainState state;
};

// Every update of the golden, through our step. A golden may leave norms out
// between its first and its last.
void ExpectUpdates(
    const model::Golden& golden, at::ScalarType dtype, double tolerance,
    std::vector<model::NamedTensor> (*tensors_of)(const model::Parameters&),
    OneRank& rank) {
  const base::Json& adamw = golden.numbers["adamw"];
  const LocalBatch batch = GoldenBatchOf(golden, dtype);
  for (const base::Json& expected : adamw["steps"]) {
    ASSERT_OK_AND_ASSIGN(
        const StepOutcome outcome,
        TrainStep(batch, adamw["learning_rate"], rank.shards, rank.state));
    const double loss = expected["loss"];
    EXPECT_NEAR(outcome.loss, loss, tolerance * std::abs(loss));
    EXPECT_FALSE(outcome.skipped);
    if (!expected.contains("gradient_norm")) continue;
    const double norm = expected["gradient_norm"];
    EXPECT_NEAR(outcome.grad_norm, norm, tolerance * norm);
    for (const auto& [parameter, tensor] : tensors_of(rank.state.parameters)) {
      const double length = expected["parameter_norms"][parameter];
      EXPECT_NEAR(tensor.norm().item<double>(), length, tolerance * length)
          << parameter;
    }
  }
}

// Twenty updates of torch's AdamW on transformers' model.
void ExpectGoldenSteps(const std::string& name, at::ScalarType dtype,
                       double tolerance) {
  ASSERT_OK_AND_ASSIGN(const model::Golden golden,
                       model::ReadGolden(model::GoldenDirectory(name)));
  ASSERT_OK_AND_ASSIGN(model::Parameters parameters,
                       model::LoadModel(model::GoldenDirectory(name), dtype));
  OneRank rank(std::move(parameters), golden.numbers["adamw"]);
  ExpectUpdates(golden, dtype, tolerance, model::HuggingFaceTensors, rank);
  EXPECT_EQ(rank.state.updates(), 20);
}

class TrainStepTest : public ::testing::TestWithParam<std::string> {};

// The reference keeps its rotary table in float32 whatever the model's dtype.
TEST_P(TrainStepTest, EqualsTorchOverTwentyUpdatesInFloat64) {
  ExpectGoldenSteps(GetParam(), at::kDouble, 1e-5);
}

TEST_P(TrainStepTest, EqualsTorchOverTwentyUpdatesInFloat32) {
  ExpectGoldenSteps(GetParam(), at::kFloat, 1e-4);
}

// Rounding to 8 bits moves the first loss by less than 0.5 %, and those after
// up to twenty large updates by less than 3 %.
TEST_P(TrainStepTest, StaysNearTorchOverTwentyUpdatesInBfloat16) {
  ASSERT_OK_AND_ASSIGN(const model::Golden golden,
                       model::ReadGolden(model::GoldenDirectory(GetParam())));
  ASSERT_OK_AND_ASSIGN(
      model::Parameters parameters,
      model::LoadModel(model::GoldenDirectory(GetParam()), at::kBFloat16));
  const base::Json& adamw = golden.numbers["adamw"];
  OneRank rank(std::move(parameters), adamw);
  EXPECT_EQ(rank.state.parameters.gradients.scalar_type(), at::kFloat);
  const LocalBatch batch = GoldenBatchOf(golden, at::kFloat);
  for (const base::Json& expected : adamw["steps"]) {
    ASSERT_OK_AND_ASSIGN(
        const StepOutcome outcome,
        TrainStep(batch, adamw["learning_rate"], rank.shards, rank.state));
    const double loss = expected["loss"];
    const bool is_first = rank.state.updates() == 1;
    EXPECT_NEAR(outcome.loss, loss, (is_first ? 0.005 : 0.03) * loss);
    if (!expected.contains("gradient_norm")) continue;
    const double norm = expected["gradient_norm"];
    EXPECT_NEAR(outcome.grad_norm, norm, (is_first ? 0.01 : 0.1) * norm);
  }
  // What passes read is the master, rounded.
  for (const optim::AdamWState& adamw_state : rank.state.adamw) {
    ASSERT_EQ(adamw_state.master.scalar_type(), at::kFloat);
    EXPECT_TRUE(at::equal(
        rank.state.parameters.flat.detach().narrow(
            0, adamw_state.begin, adamw_state.end - adamw_state.begin),
        adamw_state.master.to(at::kBFloat16)));
  }
}

// Five updates of torch's AdamW on an adapter that PEFT made.
void ExpectPeftSteps(const std::string& name, at::ScalarType dtype,
                     double tolerance) {
  const std::filesystem::path directory = model::GoldenDirectory("lora") / name;
  ASSERT_OK_AND_ASSIGN(const model::Golden golden,
                       model::ReadGolden(directory));
  ASSERT_OK_AND_ASSIGN(model::Parameters parameters,
                       model::LoadModel(model::GoldenDirectory(name), dtype));
  ASSERT_OK_AND_ASSIGN(const checkpoint::Adapter adapter,
                       checkpoint::Adapter::Open(directory));
  ASSERT_OK(model::AddAdapter({.rank = adapter.config().rank,
                               .alpha = adapter.config().alpha,
                               .modules = adapter.config().modules},
                              0, parameters));
  ASSERT_OK(model::LoadAdapter(adapter.tensors(), parameters));
  const at::Tensor base = parameters.base.clone();
  for (const base::Json& step : golden.numbers["adamw"]["steps"]) {
    ASSERT_TRUE(step.contains("gradient_norm"));
  }
  OneRank rank(std::move(parameters), golden.numbers["adamw"]);
  ExpectUpdates(golden, dtype, tolerance, model::AdapterTensors, rank);
  // The optimizer has state for the adapter and nothing else.
  ASSERT_EQ(rank.state.adamw.size(), 1u);
  EXPECT_EQ(rank.state.adamw[0].m.numel(), rank.state.parameters.flat.numel());
  EXPECT_TRUE(at::equal(rank.state.parameters.base, base));
}

// The rows of the golden, pairs of them together, chosen first, or each apart.
LocalBatch ResponsesOf(const base::Json& golden, const v1::Objective& rule) {
  const bool of_pairs = rule.kind() == v1::Objective::KIND_DPO;
  LocalBatch batch;
  MicroBatch& micro = batch.micro_batches.emplace_back();
  std::vector<std::vector<uint32_t>> ids;
  std::vector<data::TokenRow> rows;
  ids.reserve(2 * golden["rows"].size());
  for (size_t i = 0; i < golden["rows"].size(); ++i) {
    const base::Json& row = golden["rows"][i];
    ids.push_back(row["prompt"].get<std::vector<uint32_t>>());
    const auto& prompt = ids.back();
    ids.push_back(row["response"].get<std::vector<uint32_t>>());
    rows.push_back({prompt, ids.back()});
    const bool chosen = i % 2 == 0;
    if (chosen || !of_pairs) micro.policy_rows.emplace_back();
    micro.policy_rows.back().push_back(
        {.reference_logprob = golden["reference"][i],
         .num_tokens = static_cast<uint32_t>(ids.back().size()),
         .role = chosen ? base::Role::kChosen : base::Role::kRejected,
         .advantage = of_pairs ? 0 : golden["advantages"][i].get<double>()});
  }
  micro.packed = data::PackRows(rows);
  batch.divisor = static_cast<double>(micro.policy_rows.size());
  batch.policy_loss = objective::PolicyLossFunctionOf(rule);
  return batch;
}

void ExpectSteps(const std::string& name,
                 v1::Objective (*rule)(const base::Json&), at::ScalarType dtype,
                 double tolerance) {
  const auto model = model::GoldenDirectory("llama-untied");
  ASSERT_OK_AND_ASSIGN(const std::string text,
                       base::ReadFile(model.parent_path() / name));
  ASSERT_OK_AND_ASSIGN(const base::Json golden, base::ParseJson(text));
  ASSERT_OK_AND_ASSIGN(model::Parameters parameters,
                       model::LoadModel(model, dtype));
  const base::Json& adamw = golden["adamw"];
  OneRank rank(std::move(parameters), adamw);
  const LocalBatch batch = ResponsesOf(golden, rule(golden));
  for (const base::Json& expected : adamw["steps"]) {
    ASSERT_OK_AND_ASSIGN(
        const StepOutcome outcome,
        TrainStep(batch, adamw["learning_rate"], rank.shards, rank.state));
    const double loss = expected["loss"];
    EXPECT_NEAR(outcome.loss, loss, tolerance * loss);
    const double norm = expected["gradient_norm"];
    EXPECT_NEAR(outcome.grad_norm, norm, tolerance * norm);
    EXPECT_EQ(outcome.preferences.pairs(), name == "dpo.json" ? 2u : 0u);
    for (const auto& [parameter, tensor] :
         model::HuggingFaceTensors(rank.state.parameters)) {
      const double length = expected["parameter_norms"][parameter];
      EXPECT_NEAR(tensor.norm().item<double>(), length, tolerance * length)
          << parameter;
    }
  }
}

v1::Objective DpoRule(const base::Json& golden) {
  v1::Objective rule;
  rule.set_kind(v1::Objective::KIND_DPO);
  rule.set_beta(golden["beta"]);
  rule.set_label_smoothing(golden["label_smoothing"]);
  rule.set_sft_mix(golden["sft_mix"]);
  return objective::ResolveObjective(rule).value();
}

v1::Objective ALolRule(const base::Json& golden) {
  v1::Objective rule;
  rule.set_kind(v1::Objective::KIND_A_LOL);
  rule.mutable_a_lol()->set_clip(golden["clip"]);
  return objective::ResolveObjective(rule).value();
}

// The rotary table is in float32 as above, and the chosen and the rejected row
// nearly cancel in many gradients, which AdamW then makes as large as others:
// norms end 1.6e-5 apart.
TEST(PreferenceStepTest, EqualsTorchOverFiveUpdatesInFloat64) {
  ExpectSteps("dpo.json", DpoRule, at::kDouble, 5e-5);
}

TEST(PreferenceStepTest, EqualsTorchOverFiveUpdatesInFloat32) {
  ExpectSteps("dpo.json", DpoRule, at::kFloat, 1e-4);
}

TEST(AdvantageStepTest, EqualsTorchOverFiveUpdatesInFloat64) {
  ExpectSteps("a_lol.json", ALolRule, at::kDouble, 1e-5);
}

TEST(AdvantageStepTest, EqualsTorchOverFiveUpdatesInFloat32) {
  ExpectSteps("a_lol.json", ALolRule, at::kFloat, 1e-4);
}

class AdapterStepTest : public ::testing::TestWithParam<std::string> {};

TEST_P(AdapterStepTest, EqualsPeftOverFiveUpdatesInFloat64) {
  ExpectPeftSteps(GetParam(), at::kDouble, 1e-5);
}

TEST_P(AdapterStepTest, EqualsPeftOverFiveUpdatesInFloat32) {
  ExpectPeftSteps(GetParam(), at::kFloat, 1e-4);
}

INSTANTIATE_TEST_SUITE_P(Models, AdapterStepTest,
                         ::testing::Values("llama-untied", "qwen2", "qwen3"),
                         model::GoldenTestName);

INSTANTIATE_TEST_SUITE_P(Models, TrainStepTest,
                         ::testing::ValuesIn(model::CausalGoldens()),
                         model::GoldenTestName);

}  // namespace
}  // namespace varalign::worker
