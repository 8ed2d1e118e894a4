// One request on its way through the server: a ScorePairs call, or one group of
// a stream. All of its pairs are scored, or it fails as a whole.
#ifndef VARALIGN_REWARD_SERVER_SCORING_JOB_H_
#define VARALIGN_REWARD_SERVER_SCORING_JOB_H_

#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <utility>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "reward_server/pair_set.h"
#include "reward_server/score_key.h"

namespace varalign::reward_server {

struct PairScore {
  double reward = 0;
  double logprob_sum = 0;
  std::vector<float> token_logprobs;
  // Every number of the pair came from the store.
  bool cached = true;
};

struct WantedScores {
  bool reward = false;
  bool logprob_sum = false;
  bool token_logprobs = false;  // implies logprob_sum

  bool of(ModelKind kind) const {
    return kind == ModelKind::kReward ? reward : logprob_sum;
  }
};

// What happens to a job that finds no room.
enum class OnNoRoom {
  kReject,  // RESOURCE_EXHAUSTED at once
  kQueue,   // a place in line, first come first served
};

class ScoringJob {
 public:
  // In the order of the pairs. Called exactly once if Submit returned OK, from
  // any thread (Submit and Cancel included), no lock held; must not block.
  using Done = std::function<void(absl::StatusOr<std::vector<PairScore>>)>;

  // `deadline` on the monotonic clock.
  ScoringJob(std::shared_ptr<const PairSet> pairs, WantedScores wanted,
             absl::Duration deadline, OnNoRoom on_no_room, Done done)
      : pairs_(std::move(pairs)),
        wanted_(wanted),
        deadline_(deadline),
        on_no_room_(on_no_room),
        done_(std::move(done)) {}
  ScoringJob(const ScoringJob&) = delete;

  const PairSet& pairs() const { return *pairs_; }

 private:
  friend class Scheduler;
  enum class State { kNew, kInLine, kUnderWay, kEnded };

  // Constant after construction.
  const std::shared_ptr<const PairSet> pairs_;
  const WantedScores wanted_;
  const absl::Duration deadline_;
  const OnNoRoom on_no_room_;

  // Set by Submit before the job is shared. Empty where not wanted.
  std::vector<ScoreKey> reward_keys_;
  std::vector<ScoreKey> reference_keys_;

  // Guarded by the scheduler's mutex.
  State state_ = State::kNew;
  Done done_;  // taken when the job ends
  std::vector<PairScore> scores_;
  size_t num_missing_ = 0;  // numbers, not pairs
};

}  // namespace varalign::reward_server

#endif  // VARALIGN_REWARD_SERVER_SCORING_JOB_H_
