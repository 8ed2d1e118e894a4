#include "cli/score_local.h"

#include <filesystem>
#include <utility>

#include "absl/status/status.h"
#include "absl/strings/str_cat.h"
#include "base/exception_boundary.h"
#include "base/status_macros.h"
#include "checkpoint/model_directory.h"
#include "model/parameters.h"
#include "model/score.h"

namespace varalign::cli {
namespace {

absl::StatusOr<model::Parameters> LoadModel(const std::filesystem::path& path,
                                            model::Head head) {
  ASSIGN_OR_RETURN(const model::ModelConfig config,
                   model::ReadModelConfig(path, head));
  ASSIGN_OR_RETURN(const checkpoint::ModelTensors tensors,
                   checkpoint::ModelTensors::Open(path));
  return model::ParametersOf(config, tensors.tensors(), at::kFloat);
}

absl::Status Load(const std::string& path, model::Head head,
                  std::optional<model::Parameters>& parameters) {
  if (path.empty()) return absl::OkStatus();
  auto loaded = base::CatchExceptions([&] { return LoadModel(path, head); });
  if (!loaded.ok()) {
    return absl::Status(loaded.status().code(),
                        absl::StrCat(path, ": ", loaded.status().message()));
  }
  parameters = *std::move(loaded);
  return absl::OkStatus();
}

class LocalScorer final : public RowScorer {
 public:
  LocalScorer(std::optional<model::Parameters> policy,
              std::optional<model::Parameters> reward, bool per_token)
      : policy_(std::move(policy)),
        reward_(std::move(reward)),
        per_token_(per_token) {}

  absl::StatusOr<std::vector<std::vector<RowScore>>> Score(
      std::span<const ScoreExample> examples) override {
    return base::CatchExceptions([&] { return ScoreAll(examples); });
  }

 private:
  using Scores = std::vector<std::vector<RowScore>>;

  absl::StatusOr<Scores> ScoreAll(std::span<const ScoreExample> examples) {
    std::vector<model::Sequence> sequences, reward_sequences;
    Scores scores;
    std::vector<RowScore*> rows;
    scores.reserve(examples.size());
    for (const ScoreExample& example : examples) {
      scores.emplace_back(example.responses.size());
      for (size_t k = 0; k < example.responses.size(); ++k) {
        const TextIds& response = example.responses[k];
        scores.back()[k].num_tokens =
            static_cast<uint32_t>(response.ids.size());
        rows.push_back(&scores.back()[k]);
        sequences.push_back({example.prompt.ids, response.ids});
        reward_sequences.push_back(
            {example.prompt.for_reward(), response.for_reward()});
      }
    }
    if (reward_.has_value()) {
      ASSIGN_OR_RETURN(const std::vector<double> rewards,
                       model::Rewards(*reward_, reward_sequences));
      for (size_t i = 0; i < rows.size(); ++i) rows[i]->reward = rewards[i];
    }
    if (policy_.has_value()) {
      ASSIGN_OR_RETURN(std::vector<model::ResponseLogProbs> log_probs,
                       model::LogProbs(*policy_, sequences));
      for (size_t i = 0; i < rows.size(); ++i) {
        rows[i]->logprob_sum = log_probs[i].sum;
        if (per_token_) rows[i]->logprobs = std::move(log_probs[i].tokens);
      }
    }
    return scores;
  }

  const std::optional<model::Parameters> policy_;
  const std::optional<model::Parameters> reward_;
  const bool per_token_;
};

}  // namespace

absl::StatusOr<std::unique_ptr<RowScorer>> LoadLocalScorer(
    const ScorerOptions& options) {
  std::optional<model::Parameters> policy, reward;
  RETURN_IF_ERROR(Load(options.policy, model::Head::kCausalLm, policy));
  RETURN_IF_ERROR(Load(options.reward, model::Head::kReward, reward));
  return std::make_unique<LocalScorer>(std::move(policy), std::move(reward),
                                       options.per_token);
}

}  // namespace varalign::cli
