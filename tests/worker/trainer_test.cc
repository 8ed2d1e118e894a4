#include "worker/trainer.h"

#include <ATen/ops/equal.h>
#include <ATen/ops/from_blob.h>

#include <cmath>

#include "base/clock.h"
#include "base/file.h"
#include "base/json.h"
#include "checkpoint/adapter_directory.h"
#include "collective/local_process_group.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "model/adapter.h"
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

// Twenty updates of torch's AdamW on transformers' model, through our step.
void ExpectGoldenSteps(const std::string& name, at::ScalarType dtype,
                       double tolerance) {
  ASSERT_OK_AND_ASSIGN(const model::Golden golden,
                       model::ReadGolden(model::GoldenDirectory(name)));
  ASSERT_OK_AND_ASSIGN(model::Parameters parameters,
                       model::LoadModel(model::GoldenDirectory(name), dtype));
  collective::LocalHub hub(1, absl::Seconds(10));
  const auto group = hub.Join(0);
  const base::SystemClock clock;
  FlatShards shards(parameters, {}, *group, clock);
  TrainState state = MakeTrainState(std::move(parameters), shards);
  const base::Json& adamw = golden.numbers["adamw"];
  state.adamw_options = {.beta1 = adamw["beta1"],
                         .beta2 = adamw["beta2"],
                         .epsilon = adamw["epsilon"],
                         .weight_decay = adamw["weight_decay"]};
  state.max_grad_norm = adamw["max_norm"];
  const LocalBatch batch = GoldenBatchOf(golden, dtype);
  for (const base::Json& expected : adamw["steps"]) {
    ASSERT_OK_AND_ASSIGN(
        const StepOutcome outcome,
        TrainStep(batch, adamw["learning_rate"], shards, state));
    const double loss = expected["loss"];
    EXPECT_NEAR(outcome.loss, loss, tolerance * std::abs(loss));
    EXPECT_FALSE(outcome.skipped);
    if (!expected.contains("gradient_norm")) continue;
    const double norm = expected["gradient_norm"];
    EXPECT_NEAR(outcome.grad_norm, norm, tolerance * norm);
    for (const auto& [parameter, tensor] :
         model::HuggingFaceTensors(state.parameters)) {
      const double length = expected["parameter_norms"][parameter];
      EXPECT_NEAR(tensor.norm().item<double>(), length, tolerance * length)
          << parameter;
    }
  }
  EXPECT_EQ(state.updates(), 20);
}

class TrainStepTest : public ::testing::TestWithParam<std::string> {};

// The reference keeps its rotary table in float32 whatever the model's dtype.
TEST_P(TrainStepTest, EqualsTorchOverTwentyUpdatesInFloat64) {
  ExpectGoldenSteps(GetParam(), at::kDouble, 1e-5);
}

TEST_P(TrainStepTest, EqualsTorchOverTwentyUpdatesInFloat32) {
  ExpectGoldenSteps(GetParam(), at::kFloat, 1e-4);
}

// Five updates of torch's AdamW on an adapter that PEFT made, through our step.
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
  collective::LocalHub hub(1, absl::Seconds(10));
  const auto group = hub.Join(0);
  const base::SystemClock clock;
  FlatShards shards(parameters, {}, *group, clock);
  TrainState state = MakeTrainState(std::move(parameters), shards);
  const base::Json& adamw = golden.numbers["adamw"];
  state.adamw_options = {.beta1 = adamw["beta1"],
                         .beta2 = adamw["beta2"],
                         .epsilon = adamw["epsilon"],
                         .weight_decay = adamw["weight_decay"]};
  state.max_grad_norm = adamw["max_norm"];
  const LocalBatch batch = GoldenBatchOf(golden, dtype);
  for (const base::Json& expected : adamw["steps"]) {
    ASSERT_OK_AND_ASSIGN(
        const StepOutcome outcome,
        TrainStep(batch, adamw["learning_rate"], shards, state));
    const double loss = expected["loss"], norm = expected["gradient_norm"];
    EXPECT_NEAR(outcome.loss, loss, tolerance * std::abs(loss));
    EXPECT_NEAR(outcome.grad_norm, norm, tolerance * norm);
    for (const auto& [parameter, tensor] :
         model::AdapterTensors(state.parameters)) {
      const double length = expected["parameter_norms"][parameter];
      EXPECT_NEAR(tensor.norm().item<double>(), length, tolerance * length)
          << parameter;
    }
  }
  // The optimizer has state for the adapter and nothing else.
  ASSERT_EQ(state.adamw.size(), 1u);
  EXPECT_EQ(state.adamw[0].m.numel(), state.parameters.flat.numel());
  EXPECT_TRUE(at::equal(state.parameters.base, base));
}

// The rows of dpo.json are pairs, chosen first.
LocalBatch PairsOf(const base::Json& golden) {
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
    if (chosen) micro.preferences.emplace_back();
    micro.preferences.back().push_back(
        {.reference_logprob = golden["reference"][i],
         .num_tokens = static_cast<uint32_t>(ids.back().size()),
         .role = chosen ? base::Role::kChosen : base::Role::kRejected});
  }
  micro.packed = data::PackRows(rows);
  batch.divisor = static_cast<double>(micro.preferences.size());
  batch.preference = {.beta = golden["beta"],
                      .label_smoothing = golden["label_smoothing"],
                      .sft_mix = golden["sft_mix"]};
  return batch;
}

void ExpectDpoSteps(at::ScalarType dtype, double tolerance) {
  const auto model = model::GoldenDirectory("llama-untied");
  ASSERT_OK_AND_ASSIGN(const std::string text,
                       base::ReadFile(model.parent_path() / "dpo.json"));
  ASSERT_OK_AND_ASSIGN(const base::Json golden, base::ParseJson(text));
  ASSERT_OK_AND_ASSIGN(model::Parameters parameters,
                       model::LoadModel(model, dtype));
  collective::LocalHub hub(1, absl::Seconds(10));
  const auto group = hub.Join(0);
  const base::SystemClock clock;
  FlatShards shards(parameters, {}, *group, clock);
  TrainState state = MakeTrainState(std::move(parameters), shards);
  const base::Json& adamw = golden["adamw"];
  state.adamw_options = {.beta1 = adamw["beta1"],
                         .beta2 = adamw["beta2"],
                         .epsilon = adamw["epsilon"],
                         .weight_decay = adamw["weight_decay"]};
  state.max_grad_norm = adamw["max_norm"];
  const LocalBatch batch = PairsOf(golden);
  for (const base::Json& expected : adamw["steps"]) {
    ASSERT_OK_AND_ASSIGN(
        const StepOutcome outcome,
        TrainStep(batch, adamw["learning_rate"], shards, state));
    const double loss = expected["loss"];
    EXPECT_NEAR(outcome.loss, loss, tolerance * loss);
    const double norm = expected["gradient_norm"];
    EXPECT_NEAR(outcome.grad_norm, norm, tolerance * norm);
    EXPECT_EQ(outcome.preferences.pairs(), 2u);
    for (const auto& [parameter, tensor] :
         model::HuggingFaceTensors(state.parameters)) {
      const double length = expected["parameter_norms"][parameter];
      EXPECT_NEAR(tensor.norm().item<double>(), length, tolerance * length)
          << parameter;
    }
  }
}

// As above: the rotary table in float32, and torch's clip adds 1e-6 to the norm.
TEST(PreferenceStepTest, EqualsTorchOverFiveUpdatesInFloat64) {
  ExpectDpoSteps(at::kDouble, 1e-5);
}

TEST(PreferenceStepTest, EqualsTorchOverFiveUpdatesInFloat32) {
  ExpectDpoSteps(at::kFloat, 1e-4);
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
