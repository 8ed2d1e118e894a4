// What a rank asks the reward servers for, beside the weights of its steps:
// who they are, the scores behind the run's constants, those of held-out rows.
#ifndef VARALIGN_WORKER_RANK_SCORING_H_
#define VARALIGN_WORKER_RANK_SCORING_H_

#include <memory>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "base/clock.h"
#include "objective/score_kinds.h"
#include "varalign/v1/coordinator.pb.h"
#include "varalign/v1/reward.pb.h"
#include "varalign/v1/run_config.pb.h"
#include "worker/departure.h"
#include "worker/evaluate.h"
#include "worker/metrics.h"
#include "worker/pair_scorer.h"
#include "worker/rank_data.h"
#include "worker/rank_flags.h"
#include "worker/rank_heartbeat.h"
#include "worker/served_models.h"

namespace varalign::worker {

// Not thread safe; blocks. Shows its progress through the heartbeat.
class RankScoring {
 public:
  // The rank's own parts; all outlive this one.
  struct Rank {
    const RankFlags& flags;
    const v1::RunConfig& config;
    const v1::Objective& rule;  // resolved
    RankData& data;
    RankHeartbeat& heartbeat;
    TrainerMetrics& metrics;
    const base::Clock& clock;
    const Departure& departure;
  };
  explicit RankScoring(const Rank& rank) : rank_(rank) {}

  // First asks whether the servers have the models of the configuration.
  // Codes as CheckServedModels, data::CheckRewardTokenizer, CheckZSetsFit,
  // ConstantsFromColumns and ConstantsFromServer.
  absl::StatusOr<v1::Constants> ComputeConstants();

  // Where the reward has rules, adds up what they say with the reward model's
  // part, and gives the rows of both data sets their scores: from then on those
  // are columns. Once; later calls do nothing, as where there are no rules.
  // `fingerprint`: of the run's constants, empty where they are still to come.
  // Codes as CheckServers, RewardsByRules and PairScorer::Score.
  absl::Status CombineRewards(const std::string& fingerprint);

  // This rank's share of the rows of eval.path, with their scores; none
  // without one. `fingerprint`: of the run's constants.
  //   Unavailable (69)  scores are needed, and there is no reward server
  absl::StatusOr<std::vector<HeldOutExample>> ScoreHeldOutRows(
      const std::string& fingerprint);

 private:
  // What the servers say of themselves; nothing where `use` asks none.
  absl::StatusOr<v1::ServerInfo> CheckServers(const ModelUse& use);
  absl::Status Combine(const objective::ScoreKinds& served,
                       const std::string& fingerprint, data::Dataset& dataset);
  absl::StatusOr<data::RowScores> AskForScores(
      const objective::ScoreKinds& served, const std::string& fingerprint,
      const data::Dataset& dataset);
  void ShowSource(const std::string& name, double weight, double mean);
  absl::StatusOr<std::unique_ptr<PairScorer>> MakeScorer(
      v1::Outputs outputs, const std::string& fingerprint) const;

  const Rank rank_;
  bool combined_ = false;
  std::string combined_fingerprint_;  // of the servers, if they were asked
};

}  // namespace varalign::worker

#endif  // VARALIGN_WORKER_RANK_SCORING_H_
