#include "reward_server/model_scorer.h"

#include <ATen/Parallel.h>
#include <ATen/core/Tensor.h>

#include <optional>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/strings/str_cat.h"
#include "base/status_macros.h"
#include "checkpoint/model_directory.h"
#include "checkpoint/model_fingerprint.h"
#include "model/model_config.h"
#include "model/parameters.h"
#include "model/score.h"
#include "text/tokenizer.h"

namespace varalign::reward_server {
namespace {

namespace fs = std::filesystem;

// model::LogProbs and Rewards run over fixed tiles of rows, each prompt apart
// from its responses.
constexpr char kDeterminism[] = "batch-invariant fixed tiles, prompt blocks";

class ModelScorer final : public Scorer {
 public:
  ModelScorer(std::optional<model::Parameters> reward,
              std::optional<model::Parameters> reference, int num_threads)
      : reward_(std::move(reward)),
        reference_(std::move(reference)),
        num_threads_(num_threads) {}

  void Attach() override { at::set_num_threads(num_threads_); }

  absl::StatusOr<std::vector<ModelScore>> Score(
      ModelKind kind, std::span<const TokenPair> pairs) override {
    std::vector<model::Sequence> sequences;
    sequences.reserve(pairs.size());
    for (const TokenPair& pair : pairs) {
      sequences.push_back({pair.prompt, pair.response});
    }
    return kind == ModelKind::kReward ? Rewards(sequences)
                                      : LogProbs(sequences);
  }

 private:
  absl::StatusOr<std::vector<ModelScore>> Rewards(
      const std::vector<model::Sequence>& sequences) const {
    ASSIGN_OR_RETURN(const std::vector<double> rewards,
                     model::Rewards(*reward_, sequences));
    std::vector<ModelScore> scores;
    for (const double reward : rewards) scores.push_back({reward, {}});
    return scores;
  }

  absl::StatusOr<std::vector<ModelScore>> LogProbs(
      const std::vector<model::Sequence>& sequences) const {
    ASSIGN_OR_RETURN(std::vector<model::ResponseLogProbs> log_probs,
                     model::LogProbs(*reference_, sequences));
    std::vector<ModelScore> scores;
    for (model::ResponseLogProbs& response : log_probs) {
      scores.push_back({response.sum, std::move(response.tokens)});
    }
    return scores;
  }

  const std::optional<model::Parameters> reward_;
  const std::optional<model::Parameters> reference_;
  const int num_threads_;
};

absl::Status InDirectory(const absl::Status& status, const fs::path& path) {
  return absl::Status(status.code(),
                      absl::StrCat(path.string(), ": ", status.message()));
}

// A directory without a tokenizer can be served: ids come in.
absl::Status DescribeText(const fs::path& path, ModelDescription& description) {
  if (!fs::exists(path / "tokenizer.json")) return absl::OkStatus();
  ASSIGN_OR_RETURN(const text::Tokenizer tokenizer,
                   text::Tokenizer::Load(path));
  description.tokenizer_sha256 = tokenizer.tokenizer_sha256();
  description.template_sha256 = tokenizer.template_sha256();
  return absl::OkStatus();
}

struct LoadedModel {
  ModelDescription description;
  model::Parameters parameters;
};

absl::StatusOr<LoadedModel> LoadDirectory(const fs::path& path,
                                          model::Head head) {
  ASSIGN_OR_RETURN(const model::ModelConfig config,
                   model::ReadModelConfig(path, head));
  LoadedModel loaded;
  ASSIGN_OR_RETURN(const checkpoint::ModelTensors tensors,
                   checkpoint::ModelTensors::Open(path));
  ASSIGN_OR_RETURN(loaded.parameters,
                   model::ParametersOf(config, tensors.tensors(), at::kFloat));
  ModelDescription& description = loaded.description;
  ASSIGN_OR_RETURN(description.fingerprint, checkpoint::ModelFingerprint(path));
  description.vocabulary_size = static_cast<uint32_t>(config.vocabulary_size);
  description.max_positions = static_cast<uint64_t>(config.max_positions);
  for (const auto& [name, tensor] :
       model::HuggingFaceTensors(loaded.parameters)) {
    description.num_parameters += static_cast<uint64_t>(tensor.numel());
  }
  description.dtype = "float32";
  RETURN_IF_ERROR(DescribeText(path, description));
  return loaded;
}

absl::Status Load(const fs::path& path, model::Head head,
                  std::optional<ModelDescription>& description,
                  std::optional<model::Parameters>& parameters) {
  if (path.empty()) return absl::OkStatus();
  absl::StatusOr<LoadedModel> loaded = LoadDirectory(path, head);
  if (!loaded.ok()) return InDirectory(loaded.status(), path);
  description = std::move(loaded->description);
  parameters = std::move(loaded->parameters);
  return absl::OkStatus();
}

}  // namespace

absl::StatusOr<LoadedModels> LoadModels(const ModelPaths& paths,
                                        int num_threads) {
  LoadedModels models;
  std::optional<model::Parameters> reward;
  std::optional<model::Parameters> reference;
  RETURN_IF_ERROR(Load(paths.reward, model::Head::kReward,
                       models.description.reward, reward));
  RETURN_IF_ERROR(Load(paths.reference, model::Head::kCausalLm,
                       models.description.reference, reference));
  models.description.determinism = kDeterminism;
  models.scorer = std::make_unique<ModelScorer>(
      std::move(reward), std::move(reference), num_threads);
  return models;
}

}  // namespace varalign::reward_server
