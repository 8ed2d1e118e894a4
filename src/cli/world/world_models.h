// Fits the two models of the language world with the same parts that train a
// run: model, weighted NLL, AdamW.
#ifndef VARALIGN_CLI_WORLD_WORLD_MODELS_H_
#define VARALIGN_CLI_WORLD_WORLD_MODELS_H_

#include <cstdint>
#include <vector>

#include "absl/status/statusor.h"
#include "base/progress.h"
#include "model/parameters.h"

namespace varalign::cli {

// A prompt with all its responses as ids, and a number for each response: its
// probability under the reference, or its reward.
struct WorldTarget {
  std::vector<uint32_t> prompt;
  std::vector<std::vector<uint32_t>> responses;
  std::vector<double> values;
};

// Minimises sum_y values(y) * nll(y): the model becomes the distribution.
absl::StatusOr<model::Parameters> FitPolicy(
    const model::ModelConfig& config, const std::vector<WorldTarget>& targets,
    base::ProgressScreen screen);

// Minimises the squared error between the model's reward and `values`.
absl::StatusOr<model::Parameters> FitReward(
    const model::ModelConfig& config, const std::vector<WorldTarget>& targets,
    base::ProgressScreen screen);

}  // namespace varalign::cli

#endif  // VARALIGN_CLI_WORLD_WORLD_MODELS_H_
