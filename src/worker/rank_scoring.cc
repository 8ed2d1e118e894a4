#include "worker/rank_scoring.h"

#include <numeric>
#include <utility>

#include "absl/strings/str_cat.h"
#include "base/logging.h"
#include "base/status_macros.h"
#include "data/reward_tokenizer.h"
#include "objective/log_weights.h"
#include "rpc/keepalive.h"
#include "rpc/proto_time.h"
#include "worker/constants.h"
#include "worker/held_out.h"
#include "worker/ruled_rewards.h"
#include "worker/z_set_limits.h"

namespace varalign::worker {
namespace {

// Whatever train.max_steps is: lambda is in units of their spread, or they are
// to be in the server's store.
constexpr char kScoringAll[] = "scoring the whole data set";
// Of a message, for what stands around the rows.
constexpr uint64_t kSpareBytes = 4096;

double Mean(const std::vector<double>& values) {
  return std::accumulate(values.begin(), values.end(), 0.0) /
         static_cast<double>(values.size());
}

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

absl::StatusOr<v1::ServerInfo> RankScoring::CheckServers(const ModelUse& use) {
  const v1::RunConfig& config = rank_.config;
  const auto& evaluation = rank_.data.evaluation;
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
  RETURN_IF_ERROR(CombineRewards(""));
  ASSIGN_OR_RETURN(const v1::ServerInfo server,
                   CheckServers(UseOfServers(rank_.rule, data.score_source,
                                             data.evaluation.has_value()
                                                 ? &data.evaluation->manifest()
                                                 : nullptr)));
  if (data.score_source == ScoreSource::kColumns) {
    ASSIGN_OR_RETURN(v1::Constants constants,
                     ConstantsFromColumns(data.dataset, rank_.rule));
    constants.set_reward_fingerprint(combined_fingerprint_.empty()
                                         ? server.fingerprint()
                                         : combined_fingerprint_);
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

absl::StatusOr<data::RowScores> RankScoring::AskForScores(
    const objective::ScoreKinds& served, const std::string& fingerprint,
    const data::Dataset& dataset) {
  ASSIGN_OR_RETURN(
      const v1::ServerInfo server,
      CheckServers({.reward = served.rewards, .reference = served.logprobs}));
  v1::Outputs outputs;
  outputs.set_reward(served.rewards);
  outputs.set_logprob_sum(served.logprobs);
  ASSIGN_OR_RETURN(
      const auto scorer,
      MakeScorer(std::move(outputs),
                 fingerprint.empty() ? server.fingerprint() : fingerprint));
  std::vector<data::ExampleView> examples;
  for (uint64_t i = 0; i < dataset.num_examples(); ++i) {
    examples.push_back(dataset.example(i));
  }
  const uint64_t total = dataset.manifest().num_rows();
  ASSIGN_OR_RETURN(const std::vector<objective::Score> scores,
                   scorer->Score(examples, [&](uint64_t done) {
                     rank_.heartbeat.SetProgress(kScoringAll, "rows", done,
                                                 total);
                   }));
  combined_fingerprint_ = scorer->fingerprint();
  data::RowScores columns;
  if (served.rewards) columns.rewards.emplace();
  if (served.logprobs) columns.logprob_sums.emplace();
  for (const objective::Score& score : scores) {
    if (served.rewards) columns.rewards->push_back(score.reward);
    if (served.logprobs) columns.logprob_sums->push_back(score.logprob_sum);
  }
  return columns;
}

void RankScoring::ShowSource(const std::string& name, double weight,
                             double mean) {
  rank_.metrics.reward_source_mean.With({name}).Set(mean);
  base::LogInfo("reward_source", {{"source", name},
                                  {"weight", absl::StrCat(weight)},
                                  {"mean", absl::StrCat(mean)}});
}

absl::Status RankScoring::Combine(const objective::ScoreKinds& served,
                                  const std::string& fingerprint,
                                  data::Dataset& dataset) {
  const v1::RewardConfig& reward = rank_.config.reward();
  ASSIGN_OR_RETURN(RuledRewards ruled, RewardsByRules(rank_.config, dataset));
  data::RowScores scores;
  if (served.any()) {
    if (rank_.flags.reward_servers.empty()) {
      return absl::UnavailableError(
          "rows need scores that only a reward server has, and this worker "
          "knows none; start it with --reward-server HOST:PORT");
    }
    ASSIGN_OR_RETURN(scores, AskForScores(served, fingerprint, dataset));
  }
  for (const RuledRewards::Rule& rule : ruled.rules) {
    ShowSource(rule.name, rule.weight, rule.mean);
  }
  if (reward.path().empty()) {
    scores.rewards = std::move(ruled.sums);
  } else if (scores.rewards.has_value() || dataset.manifest().has_rewards()) {
    const std::vector<double> model = scores.rewards.has_value()
                                          ? *std::move(scores.rewards)
                                          : GivenRewards(dataset);
    ShowSource("model", reward.weight(), Mean(model));
    for (size_t row = 0; row < model.size(); ++row) {
      ruled.sums[row] += reward.weight() * model[row];
    }
    scores.rewards = std::move(ruled.sums);
  }
  dataset.SetScores(std::move(scores));
  return absl::OkStatus();
}

absl::Status RankScoring::CombineRewards(const std::string& fingerprint) {
  if (combined_ || !objective::HasRewardRules(rank_.config.reward())) {
    return absl::OkStatus();
  }
  RankData& data = rank_.data;
  if (data.evaluation.has_value()) {
    RETURN_IF_ERROR(Combine(objective::ServedHeldOutScores(
                                rank_.config, data.evaluation->manifest()),
                            fingerprint, *data.evaluation));
  }
  RETURN_IF_ERROR(Combine(objective::ServedScores(rank_.config, rank_.rule,
                                                  data.dataset.manifest()),
                          fingerprint, data.dataset));
  combined_ = true;
  return absl::OkStatus();
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
