#include "worker/served_models.h"

#include <cstddef>
#include <memory>

#include "absl/strings/str_cat.h"
#include "base/exit_code.h"
#include "base/status_macros.h"
#include "checkpoint/model_fingerprint.h"
#include "data/manifest.h"
#include "objective/score_kinds.h"
#include "rpc/backoff.h"
#include "rpc/call.h"
#include "rpc/channel.h"
#include "rpc/status.h"
#include "varalign/v1/reward.grpc.pb.h"

namespace varalign::worker {
namespace {

constexpr absl::Duration kCallTimeout = absl::Seconds(30);

absl::Status BadConfig(absl::Status status) {
  return base::WithExitCode(std::move(status), base::kExitBadConfig);
}

absl::Status CheckModel(const char* key, const std::string& path,
                        const v1::ModelInfo* served,
                        const std::string& server) {
  if (path.empty()) {
    return BadConfig(absl::InvalidArgumentError(absl::StrCat(
        key,
        ": required: the run takes scores of this model from the reward "
        "server at ",
        server)));
  }
  if (served == nullptr) {
    return BadConfig(absl::FailedPreconditionError(
        absl::StrCat(key,
                     ": the reward server has no such model; start it "
                     "with this one, server ",
                     server, ", model ", path)));
  }
  return checkpoint::CheckFingerprint(
      path, key, served->fingerprint(),
      absl::StrCat("the reward server at ", server));
}

}  // namespace

ModelUse UseOfServers(const v1::Objective& rule, ScoreSource source,
                      const v1::DatasetManifest* evaluation) {
  // Held-out rows are scored whole where one column is missing.
  if (evaluation != nullptr && !data::IsScored(*evaluation)) {
    return {.reward = true, .reference = true};
  }
  if (source == ScoreSource::kColumns) return {};
  const objective::ScoreKinds needed = objective::NeededScores(rule);
  return {.reward = needed.rewards, .reference = needed.logprobs};
}

absl::Status CheckServedModels(const v1::ServerInfo& info,
                               const std::string& server,
                               const v1::RunConfig& config,
                               const ModelUse& use) {
  if (use.reward) {
    RETURN_IF_ERROR(CheckModel(
        "reward.path", config.reward().path(),
        info.has_reward_model() ? &info.reward_model() : nullptr, server));
  }
  if (use.reference) {
    RETURN_IF_ERROR(CheckModel(
        "model.path", config.model().path(),
        info.has_reference_model() ? &info.reference_model() : nullptr,
        server));
  }
  return absl::OkStatus();
}

absl::StatusOr<v1::ServerInfo> AskServer(const ServerQuery& query,
                                         const base::Clock& clock,
                                         const Departure& departure,
                                         std::string& server) {
  std::vector<std::unique_ptr<v1::ModelService::Stub>> stubs;
  for (const std::string& address : query.servers) {
    ASSIGN_OR_RETURN(const auto channel, rpc::MakeChannel(address));
    stubs.push_back(v1::ModelService::NewStub(channel));
  }
  rpc::Retrier retrier({.budget = query.timeout}, stubs.size());
  for (size_t next = 0;; next = (next + 1) % stubs.size()) {
    RETURN_IF_ERROR(departure.status());
    server = query.servers[next];
    auto info = rpc::Call(*stubs[next], &v1::ModelService::Stub::GetServerInfo,
                          {}, kCallTimeout);
    if (info.ok()) return info;
    const auto delay = retrier.NextDelay(clock.MonotonicNow());
    if (!rpc::IsRetryable(info.status()) || !delay.has_value()) {
      return absl::UnavailableError(
          absl::StrCat(absl::IsUnimplemented(info.status())
                           ? "no reward server listens there: "
                           : "reward server does not answer, is it running? ",
                       server, ": ", info.status().message()));
    }
    departure.WaitFor(*delay);
  }
}

}  // namespace varalign::worker
