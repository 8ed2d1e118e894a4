#include "worker/rank_scoring.h"

#include <utility>

#include "absl/strings/str_cat.h"
#include "base/status_macros.h"
#include "data/reward_tokenizer.h"
#include "objective/log_weights.h"
#include "rpc/keepalive.h"
#include "rpc/proto_time.h"
#include "worker/constants.h"
#include "worker/held_out.h"
#include "worker/served_models.h"
#include "worker/z_set_limits.h"

namespace varalign::worker {
namespace {

// Whatever train.max_steps is: lambda is in units of their spread, or they are
// to be in the server's store.
constexpr char kScoringAll[] = "scoring the whole data set";
// Of a message, for what stands around the rows.
constexpr uint64_t kSpareBytes = 4096;

}  // namespace

absl::StatusOr<std::unique_ptr<PairScorer>> RankScoring::MakeScorer(
    v1::Outputs outputs, const std::string& fingerprint) const {
  return PairScorer::Create(
      {.servers = rank_.flags.reward_servers,
       .timeout = rpc::FromProto(rank_.config.scoring().timeout()),
       .outputs = std::move(outputs),
       .expected_fingerprint = fingerprint},
      rank_.clock, rank_.departure, rank_.metrics.reward_client_requests);
}

absl::StatusOr<v1::ServerInfo> RankScoring::CheckServers() {
  const v1::RunConfig& config = rank_.config;
  const auto& evaluation = rank_.data.evaluation;
  const ModelUse use =
      UseOfServers(rank_.rule, rank_.data.score_source,
                   evaluation.has_value() ? &evaluation->manifest() : nullptr);
  // Who needs a server and has none is told by those who would ask it.
  if (!use.any() || rank_.flags.reward_servers.empty()) {
    return v1::ServerInfo();
  }
  rank_.heartbeat.SetActivity("checking the reward server");
  std::string server;
  ASSIGN_OR_RETURN(
      const v1::ServerInfo info,
      AskServer({.servers = rank_.flags.reward_servers,
                 .timeout = rpc::FromProto(config.scoring().timeout())},
                rank_.clock, rank_.departure, server));
  RETURN_IF_ERROR(CheckServedModels(info, server, config, use));
  if (!use.reward) return info;
  RETURN_IF_ERROR(data::CheckRewardTokenizer(rank_.data.dataset.manifest(),
                                             config.reward().path()));
  if (evaluation.has_value()) {
    RETURN_IF_ERROR(data::CheckRewardTokenizer(evaluation->manifest(),
                                               config.reward().path()));
  }
  return info;
}

absl::StatusOr<v1::Constants> RankScoring::ComputeConstants() {
  const RankData& data = rank_.data;
  ASSIGN_OR_RETURN(const v1::ServerInfo server, CheckServers());
  if (data.score_source == ScoreSource::kColumns) {
    ASSIGN_OR_RETURN(v1::Constants constants,
                     ConstantsFromColumns(data.dataset, rank_.rule));
    constants.set_reward_fingerprint(server.fingerprint());
    return constants;
  }
  RETURN_IF_ERROR(
      CheckZSetsFit(data.dataset, data.plan, rank_.rule,
                    {.max_bytes = rpc::kScoreMessageBytes - kSpareBytes,
                     .max_pairs = server.max_pairs()}));
  rank_.heartbeat.SetActivity(kScoringAll);
  v1::Outputs outputs;
  const bool needs_rewards = objective::NeedsRewards(rank_.rule);
  outputs.set_reward(needs_rewards);
  outputs.set_logprob_sum(
      objective::NeedsLogProbs(rank_.rule) &&
      (data.score_source == ScoreSource::kBefore || !needs_rewards));
  ASSIGN_OR_RETURN(const auto scorer,
                   MakeScorer(std::move(outputs), server.fingerprint()));
  return ConstantsFromServer(data.dataset, rank_.rule, data.score_source,
                             *scorer, [this](uint64_t done, uint64_t total) {
                               rank_.heartbeat.SetProgress(kScoringAll, "rows",
                                                           done, total);
                             });
}

absl::StatusOr<std::vector<HeldOutExample>> RankScoring::ScoreHeldOutRows(
    const std::string& fingerprint) {
  if (!rank_.data.evaluation.has_value()) return std::vector<HeldOutExample>();
  const data::Dataset& rows = *rank_.data.evaluation;
  std::vector<HeldOutExample> held_out =
      DealHeldOut(rows, rank_.flags.rank, rank_.flags.world_size);
  const auto make_scorer =
      [&]() -> absl::StatusOr<std::unique_ptr<PairScorer>> {
    if (rank_.flags.reward_servers.empty()) {
      return absl::UnavailableError(absl::StrCat(
          "eval.path needs a reward and a reference log-probability for every "
          "row: columns of the data set, or a reward server (varalign-worker "
          "--reward-server HOST:PORT): ",
          rank_.config.eval().path()));
    }
    rank_.heartbeat.SetActivity("scoring held-out data");
    v1::Outputs outputs;
    outputs.set_reward(true);
    outputs.set_logprob_sum(true);
    return MakeScorer(std::move(outputs), fingerprint);
  };
  RETURN_IF_ERROR(ScoreHeldOut(
      rows.manifest(), make_scorer,
      [this](uint64_t done, uint64_t total) {
        rank_.heartbeat.SetProgress("scoring held-out data", "rows", done,
                                    total);
      },
      held_out));
  return held_out;
}

}  // namespace varalign::worker
