// What a rank reads before it trains: rows, held-out rows and the plan.
#ifndef VARALIGN_WORKER_RANK_DATA_H_
#define VARALIGN_WORKER_RANK_DATA_H_

#include <optional>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "data/dataset.h"
#include "data/plan.h"
#include "varalign/v1/coordinator.pb.h"
#include "varalign/v1/run_config.pb.h"
#include "worker/coordinator_client.h"
#include "worker/rule.h"

namespace varalign::worker {

struct RankData {
  data::Dataset dataset;
  std::optional<data::Dataset> evaluation;  // eval.path; none without one
  data::Plan plan;
  ScoreSource score_source = ScoreSource::kColumns;
};

// Opens what `config` names, from this host's disk or through `client`.
// `rule` is resolved. Codes as OpenRunDataset, data::CheckTokenizer,
// CheckRoles, MakePlan and ChooseScoreSource.
absl::StatusOr<RankData> OpenRankData(const v1::RunConfig& config,
                                      const v1::Objective& rule,
                                      bool has_reward_server,
                                      CoordinatorClient& client);

// Holds all rows against the model, and describes them in `data.json` of the
// run's directory. All ranks have the same files; one of them looks. Codes as
// DataGate, and those of a file that cannot be written.
absl::Status PassDataGate(const v1::Run& run, const RankData& data);

}  // namespace varalign::worker

#endif  // VARALIGN_WORKER_RANK_DATA_H_
