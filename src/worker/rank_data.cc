#include "worker/rank_data.h"

#include <unistd.h>

#include <filesystem>
#include <utility>

#include "absl/strings/str_cat.h"
#include "base/file.h"
#include "base/json.h"
#include "base/status_macros.h"
#include "worker/data_gate.h"
#include "worker/run_dataset.h"

namespace varalign::worker {
namespace {

namespace fs = std::filesystem;

absl::StatusOr<data::Dataset> Open(const std::string& path,
                                   const std::string& prefix,
                                   const v1::RunConfig& config,
                                   CoordinatorClient& client) {
  const fs::path cache =
      fs::temp_directory_path() / absl::StrCat("varalign-data-", getuid());
  ASSIGN_OR_RETURN(data::Dataset dataset,
                   OpenRunDataset(path, prefix, cache, client));
  RETURN_IF_ERROR(
      data::CheckTokenizer(dataset.manifest(), config.model().path()));
  return dataset;
}

}  // namespace

absl::StatusOr<RankData> OpenRankData(const v1::RunConfig& config,
                                      const v1::Objective& rule,
                                      bool has_reward_server,
                                      CoordinatorClient& client) {
  ASSIGN_OR_RETURN(data::Dataset dataset,
                   Open(config.data().path(), "", config, client));
  std::optional<data::Dataset> evaluation;
  if (!config.eval().path().empty()) {
    ASSIGN_OR_RETURN(evaluation,
                     Open(config.eval().path(), "eval/", config, client));
  }
  const v1::DatasetManifest& manifest = dataset.manifest();
  RETURN_IF_ERROR(CheckRoles(config, rule, manifest));
  ASSIGN_OR_RETURN(data::Plan plan, MakePlan(config, rule, manifest));
  ASSIGN_OR_RETURN(
      const ScoreSource score_source,
      ChooseScoreSource(config, rule, manifest, has_reward_server));
  return RankData{std::move(dataset), std::move(evaluation), std::move(plan),
                  score_source};
}

absl::Status PassDataGate(const v1::Run& run, const RankData& data) {
  ASSIGN_OR_RETURN(const DataGate gate,
                   DataGate::Load(run.config().model().path()));
  RETURN_IF_ERROR(gate.Check(data.dataset));
  if (data.evaluation.has_value()) {
    RETURN_IF_ERROR(gate.Check(*data.evaluation));
  }
  ASSIGN_OR_RETURN(const base::Json description, gate.Describe(data.dataset));
  return base::WriteFileAtomically(fs::path(run.directory()) / "data.json",
                                   base::DumpJson(description) + "\n");
}

}  // namespace varalign::worker
