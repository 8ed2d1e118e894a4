#include "cli/world/world_models.h"

#include <ATen/ATen.h>
#include <ATen/Parallel.h>

#include <functional>
#include <span>

#include "base/exception_boundary.h"
#include "base/progress.h"
#include "data/collate.h"
#include "model/forward.h"
#include "objective/weighted_nll.h"
#include "optim/adamw.h"
#include "optim/schedule.h"

namespace varalign::cli {
namespace {

constexpr uint64_t kSteps = 300;
constexpr size_t kPromptsPerStep = 8;
constexpr double kLearningRate = 4e-3;
constexpr double kMaxGradNorm = 1;

// The rows of one step, with the value of each [rows] float32.
struct Batch {
  std::vector<data::TokenRow> rows;
  at::Tensor values;
};

Batch MakeBatch(const std::vector<WorldTarget>& targets, uint64_t step) {
  Batch batch;
  std::vector<float> values;
  for (size_t i = 0; i < kPromptsPerStep; ++i) {
    // A stride that shares no factor with the number of prompts visits all.
    const WorldTarget& target =
        targets[(step * kPromptsPerStep + i) * 7 % targets.size()];
    for (size_t k = 0; k < target.responses.size(); ++k) {
      batch.rows.push_back({target.prompt, target.responses[k]});
      values.push_back(static_cast<float>(target.values[k]));
    }
  }
  batch.values = at::tensor(values);
  return batch;
}

using Loss = std::function<at::Tensor(const model::Parameters&, const Batch&)>;

absl::StatusOr<model::Parameters> Fit(const char* activity,
                                      const model::ModelConfig& config,
                                      const std::vector<WorldTarget>& targets,
                                      base::ProgressScreen screen,
                                      const Loss& loss) {
  return base::CatchExceptions([&]() -> absl::StatusOr<model::Parameters> {
    at::set_num_threads(1);  // such small tensors only make threads wait
    model::Parameters parameters = model::MakeParameters(config, at::kFloat);
    model::InitializeRandomly(/*seed=*/1, parameters);
    model::EnableGradients(parameters);
    const int64_t size = parameters.flat.numel();
    optim::AdamWState adamw =
        optim::MakeAdamWState(parameters.flat, 0, size, parameters.decayed);
    const optim::ScheduleOptions schedule = {
        optim::Shape::kCosine, kLearningRate, kSteps / 20, kSteps};
    base::Progress progress(activity, "steps", kSteps, screen);
    for (uint64_t step = 0; step < kSteps; ++step) {
      parameters.gradients.zero_();
      loss(parameters, MakeBatch(targets, step)).backward();
      const double norm = parameters.gradients.norm().item<double>();
      optim::AdamWStep(parameters.gradients,
                       optim::ClipFactor(norm, kMaxGradNorm),
                       optim::LearningRate(step, schedule), {}, adamw);
      progress.Advance(1);
    }
    progress.Finish();
    return parameters;
  });
}

at::Tensor PolicyLoss(const model::Parameters& parameters, const Batch& batch) {
  const data::PackedRows packed = data::PackRows(batch.rows);
  const at::Tensor hidden = model::Forward(
      parameters, packed.tokens, packed.layout, packed.loss_positions);
  const at::Tensor weights = batch.values.index_select(0, packed.row_of_target);
  return objective::WeightedNllLoss(hidden, parameters.lm_head, packed.targets,
                                    weights)
      .loss;
}

// A reward is read at the last token of the response, which PackRows leaves out
// because it predicts nothing.
at::Tensor RewardLoss(const model::Parameters& parameters, const Batch& batch) {
  std::vector<int64_t> tokens;
  std::vector<int64_t> cu_seqlens = {0};
  std::vector<int64_t> last;
  for (const data::TokenRow& row : batch.rows) {
    tokens.insert(tokens.end(), row.prompt.begin(), row.prompt.end());
    tokens.insert(tokens.end(), row.response.begin(), row.response.end());
    cu_seqlens.push_back(static_cast<int64_t>(tokens.size()));
    last.push_back(cu_seqlens.back() - 1);
  }
  const at::Tensor hidden = model::Forward(parameters, at::tensor(tokens),
                                           cu_seqlens, at::tensor(last));
  const at::Tensor rewards =
      at::matmul(hidden, parameters.score.t()).squeeze(1);
  return (rewards - batch.values).square().mean();
}

}  // namespace

absl::StatusOr<model::Parameters> FitPolicy(
    const model::ModelConfig& config, const std::vector<WorldTarget>& targets,
    base::ProgressScreen screen) {
  return Fit("fitting the reference policy", config, targets, screen,
             PolicyLoss);
}

absl::StatusOr<model::Parameters> FitReward(
    const model::ModelConfig& config, const std::vector<WorldTarget>& targets,
    base::ProgressScreen screen) {
  return Fit("fitting the reward model", config, targets, screen, RewardLoss);
}

}  // namespace varalign::cli
