// Do the reward servers have the models that a run names? Weights that come of
// other models look like any others.
#ifndef VARALIGN_WORKER_SERVED_MODELS_H_
#define VARALIGN_WORKER_SERVED_MODELS_H_

#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "base/clock.h"
#include "varalign/v1/dataset.pb.h"
#include "varalign/v1/reward.pb.h"
#include "varalign/v1/run_config.pb.h"
#include "worker/departure.h"
#include "worker/rule.h"

namespace varalign::worker {

// What a run asks of the reward servers.
struct ModelUse {
  bool reward = false;     // rewards, of the model in reward.path
  bool reference = false;  // log-probabilities, of the model in model.path

  bool any() const { return reward || reference; }
};

// `evaluation`: the manifest of eval.path; null without one. Pure.
ModelUse UseOfServers(const v1::Objective& rule, ScoreSource source,
                      const v1::DatasetManifest* evaluation);

// The server that says `info` has the models of `config` that `use` names.
// Reads the directories. FailedPrecondition (78) names both, where they differ;
// InvalidArgument (78): reward.path is needed and empty.
absl::Status CheckServedModels(const v1::ServerInfo& info,
                               const std::string& server,
                               const v1::RunConfig& config,
                               const ModelUse& use);

// What the first server that answers says of itself; `server` receives its
// address. Unavailable: none does within `timeout`.
struct ServerQuery {
  const std::vector<std::string>& servers;  // HOST:PORT, at least one
  absl::Duration timeout;
};
absl::StatusOr<v1::ServerInfo> AskServer(const ServerQuery& query,
                                         const base::Clock& clock,
                                         const Departure& departure,
                                         std::string& server);

}  // namespace varalign::worker

#endif  // VARALIGN_WORKER_SERVED_MODELS_H_
