#include "cli/run_request.h"

#include <sys/random.h>

#include <array>
#include <cerrno>

#include "absl/strings/escaping.h"
#include "absl/strings/str_cat.h"
#include "base/exit_code.h"
#include "base/file.h"
#include "base/status_macros.h"
#include "data/manifest.h"
#include "objective/log_weights.h"

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
                   directory.string()));
}

absl::StatusOr<v1::DatasetManifest> CheckDataset(const std::string& key,
                                                 const fs::path& directory) {
  auto manifest = data::ReadManifest(directory);
  if (manifest.ok()) return manifest;
  return absl::Status(
      manifest.status().code(),
      absl::StrCat(key, ": ", manifest.status().message(),
                   "; make a data set with `varalign prepare`"));
}

absl::Status CheckColumns(const v1::RunConfig& config,
                          const v1::DatasetManifest& manifest) {
  const v1::Objective& objective = config.objective();
  if (objective::NeedsRewards(objective) && !manifest.has_rewards()) {
    return BadConfig(absl::StrCat(
        "scoring.mode: columns, but the data set has no rewards; set it to "
        "before: ",
        config.data().path()));
  }
  if (objective::NeedsLogProbs(objective) && !manifest.has_logprobs()) {
    return BadConfig(absl::StrCat(
        "scoring.mode: columns, but the data set has no reference "
        "log-probabilities; set it to before, or objective.ref_logp to none: ",
        config.data().path()));
  }
  return absl::OkStatus();
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
  return loaded;
}

bool NeedsRewardServer(const v1::RunConfig& config,
                       const v1::DatasetManifest& manifest) {
  const bool rewards_missing =
      objective::NeedsRewards(config.objective()) && !manifest.has_rewards();
  const bool logprobs_missing =
      objective::NeedsLogProbs(config.objective()) && !manifest.has_logprobs();
  switch (config.scoring().mode()) {
    case v1::ScoringConfig::MODE_COLUMNS:
      return false;
    case v1::ScoringConfig::MODE_BEFORE:
    case v1::ScoringConfig::MODE_AHEAD:
      return objective::NeedsRewards(config.objective()) ||
             objective::NeedsLogProbs(config.objective());
    default:
      return rewards_missing || logprobs_missing;
  }
}

absl::Status CheckInputs(const v1::RunConfig& config) {
  RETURN_IF_ERROR(CheckModel("model.path", config.model().path()));
  ASSIGN_OR_RETURN(const v1::DatasetManifest manifest,
                   CheckDataset("data.path", config.data().path()));
  RETURN_IF_ERROR(data::CheckTokenizer(manifest, config.model().path()));
  if (!config.eval().path().empty()) {
    ASSIGN_OR_RETURN(const v1::DatasetManifest held_out,
                     CheckDataset("eval.path", config.eval().path()));
    RETURN_IF_ERROR(data::CheckTokenizer(held_out, config.model().path()));
  }
  if (!config.reward().path().empty()) {
    RETURN_IF_ERROR(CheckModel("reward.path", config.reward().path()));
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
