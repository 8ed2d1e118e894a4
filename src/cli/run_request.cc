#include "cli/run_request.h"

#include <sys/random.h>

#include <array>
#include <cerrno>

#include "absl/strings/escaping.h"
#include "absl/strings/str_cat.h"
#include "base/exit_code.h"
#include "base/file.h"
#include "base/json.h"
#include "base/status_macros.h"
#include "cli/model_place.h"
#include "config/rules.h"
#include "data/manifest.h"
#include "data/reward_rules.h"
#include "data/reward_tokenizer.h"
#include "objective/log_weights.h"
#include "objective/score_kinds.h"

namespace varalign::cli {
namespace {

namespace fs = std::filesystem;

absl::Status BadConfig(const std::string& message) {
  return base::WithExitCode(absl::InvalidArgumentError(message),
                            base::kExitBadConfig);
}

absl::Status CheckModel(const std::string& key, const fs::path& directory) {
  std::error_code ignored;
  if (fs::exists(directory / "config.json", ignored)) return absl::OkStatus();
  return absl::NotFoundError(
      absl::StrCat(key,
                   ": no Hugging Face model directory (config.json is "
                   "missing): ",
                   directory.string(), NearbyModel(directory)));
}

absl::StatusOr<v1::DatasetManifest> CheckDataset(const std::string& key,
                                                 const fs::path& directory) {
  auto manifest = data::ReadManifest(directory);
  if (manifest.ok()) return manifest;
  return absl::Status(manifest.status().code(),
                      absl::StrCat(key, ": ", manifest.status().message()));
}

// No row is longer than the model has positions, as far as both tell: ranks
// hold every row against the model before they train.
absl::Status CheckRowLength(const std::string& key,
                            const v1::DatasetManifest& manifest,
                            const fs::path& model) {
  ASSIGN_OR_RETURN(const std::string text,
                   base::ReadFile(model / "config.json"));
  const auto config = base::ParseJson(text);
  if (!config.ok() || !config->is_object()) return absl::OkStatus();
  const auto found = config->find("max_position_embeddings");
  if (found == config->end() || !found->is_number_unsigned() ||
      manifest.max_row_tokens() <= found->get<uint64_t>()) {
    return absl::OkStatus();
  }
  return absl::InvalidArgumentError(absl::StrCat(
      key, ": rows are longer than the model's ", found->get<uint64_t>(),
      " positions; prepare it again with --model of this run: the longest has ",
      manifest.max_row_tokens(), " tokens"));
}

// " needs rewards, and its data set has none", as far as `manifest` tells.
const char* Needs(const v1::DatasetManifest& manifest) {
  if (!manifest.has_rewards())
    return " needs rewards, and its data set has none";
  return " needs reference log-probabilities, which come from a reward server, "
         "and its data set has none";
}

// The reward model of rows that a reward server scores is named, and reads the
// ids of their data set.
absl::Status CheckRewardModel(const char* who, const v1::RunConfig& config,
                              const std::string& data,
                              const v1::DatasetManifest& manifest) {
  const std::string& model = config.reward().path();
  if (model.empty()) {
    return BadConfig(absl::StrCat(
        "reward.path: required: ", who, Needs(manifest),
        "; name a reward model, or write the scores into the rows with "
        "`varalign score --format groups` before `prepare`: ",
        data));
  }
  return data::CheckRewardTokenizer(manifest, model);
}

absl::Status CheckColumns(const v1::RunConfig& config,
                          const v1::DatasetManifest& manifest) {
  const objective::ScoreKinds missing = objective::MissingScores(
      config.objective(), objective::KnownScores(config, manifest));
  if (missing.rewards) {
    return BadConfig(absl::StrCat(
        "scoring.mode: columns, but the data set has no rewards; set it to "
        "before: ",
        config.data().path()));
  }
  if (missing.logprobs) {
    return BadConfig(absl::StrCat(
        "scoring.mode: columns, but the data set has no reference "
        "log-probabilities; set it to before, or objective.ref_logp to none: ",
        config.data().path()));
  }
  return absl::OkStatus();
}

// What the preset has decided.
void AddPresetOrigins(config::LoadedConfig& loaded) {
  config::VisitValues(
      loaded.config, [&loaded](const std::string& path,
                               const google::protobuf::Message& section,
                               const google::protobuf::FieldDescriptor& field) {
        if (!section.GetReflection()->HasField(section, &field)) return;
        loaded.origins.try_emplace(path, "preset");
      });
}

}  // namespace

absl::StatusOr<config::LoadedConfig> LoadResolvedConfig(
    const fs::path& file, const std::vector<std::string>& overrides) {
  ASSIGN_OR_RETURN(config::LoadedConfig loaded,
                   config::LoadRunConfig(file, overrides));
  auto objective = objective::ResolveObjective(loaded.config.objective());
  if (!objective.ok()) {
    return BadConfig(
        absl::StrCat(file.string(), ": error: ", objective.status().message()));
  }
  *loaded.config.mutable_objective() = *std::move(objective);
  AddPresetOrigins(loaded);
  return loaded;
}

bool NeedsRewardServer(const v1::RunConfig& config,
                       const v1::DatasetManifest& manifest) {
  return objective::ServedScores(config, config.objective(), manifest).any();
}

absl::StatusOr<bool> RunNeedsRewardServer(const v1::RunConfig& config) {
  ASSIGN_OR_RETURN(const v1::DatasetManifest manifest,
                   data::ReadManifest(config.data().path()));
  if (NeedsRewardServer(config, manifest)) return true;
  if (config.eval().path().empty()) return false;
  ASSIGN_OR_RETURN(const v1::DatasetManifest held_out,
                   data::ReadManifest(config.eval().path()));
  return objective::ServedHeldOutScores(config, held_out).any();
}

absl::Status CheckInputs(const v1::RunConfig& config) {
  const auto rules = data::RewardRules::Create(config.reward());
  if (!rules.ok()) return BadConfig(std::string(rules.status().message()));
  RETURN_IF_ERROR(CheckModel("model.path", config.model().path()));
  ASSIGN_OR_RETURN(const v1::DatasetManifest manifest,
                   CheckDataset("data.path", config.data().path()));
  RETURN_IF_ERROR(data::CheckTokenizer(manifest, config.model().path()));
  RETURN_IF_ERROR(CheckRowLength("data.path", manifest, config.model().path()));
  if (!config.reward().path().empty()) {
    RETURN_IF_ERROR(CheckModel("reward.path", config.reward().path()));
  }
  if (!config.eval().path().empty()) {
    ASSIGN_OR_RETURN(const v1::DatasetManifest held_out,
                     CheckDataset("eval.path", config.eval().path()));
    RETURN_IF_ERROR(data::CheckTokenizer(held_out, config.model().path()));
    RETURN_IF_ERROR(
        CheckRowLength("eval.path", held_out, config.model().path()));
    if (objective::ServedHeldOutScores(config, held_out).rewards) {
      RETURN_IF_ERROR(CheckRewardModel("eval.path", config,
                                       config.eval().path(), held_out));
    }
  }
  if (objective::ServedScores(config, config.objective(), manifest).rewards) {
    RETURN_IF_ERROR(CheckRewardModel("the objective", config,
                                     config.data().path(), manifest));
  }
  if (config.scoring().mode() == v1::ScoringConfig::MODE_COLUMNS) {
    return CheckColumns(config, manifest);
  }
  return absl::OkStatus();
}

absl::StatusOr<std::string> NewRequestId() {
  std::array<char, 16> bytes;
  if (getrandom(bytes.data(), bytes.size(), 0) !=
      static_cast<ssize_t>(bytes.size())) {
    return base::ErrnoStatus(errno, "getrandom", "the system's random source");
  }
  return absl::BytesToHexString({bytes.data(), bytes.size()});
}

}  // namespace varalign::cli
