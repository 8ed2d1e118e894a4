// One StreamWeights call: Z-sets in, log-weights out. docs/reward_protocol.md
// tells both sides' duties.
#ifndef VARALIGN_REWARD_SERVER_WEIGHT_STREAM_H_
#define VARALIGN_REWARD_SERVER_WEIGHT_STREAM_H_

#include <cstdint>
#include <deque>
#include <memory>
#include <optional>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/container/flat_hash_map.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/synchronization/mutex.h"
#include "grpcpp/support/server_callback.h"
#include "reward_server/scoring_job.h"
#include "reward_server/service_context.h"
#include "varalign/v1/reward.pb.h"

namespace varalign::reward_server {

// Thread safe; its reactions come from gRPC's threads, answers from the
// scheduler's. Lives until gRPC is done and no job refers to it.
//
// At most one read and one write are under way. Answers wait in `outbox_`. What
// was scored is bounded by the client's credit: tokens count as unanswered
// until their answer is being written. Errors cost no credit; they are bounded
// since nothing is read while many answers wait.
class WeightStream final
    : public grpc::ServerBidiReactor<v1::WeightRequest, v1::WeightResponse>,
      public std::enable_shared_from_this<WeightStream> {
 public:
  // Starts reading. `context` outlives it.
  static std::shared_ptr<WeightStream> Begin(const ServiceContext& context);

  // Says Draining, takes no more groups, closes with Unavailable when those it
  // has taken are answered.
  void Drain();

  void OnReadDone(bool ok) override;
  void OnWriteDone(bool ok) override;
  void OnCancel() override;
  void OnDone() override;

 private:
  struct Reply {
    v1::WeightResponse message;
    uint64_t tokens = 0;  // of the group that it answers
  };
  struct PendingGroup {
    std::shared_ptr<ScoringJob> job;  // null until it is submitted
    uint64_t tokens = 0;
  };

  explicit WeightStream(const ServiceContext& context) : context_(context) {}

  // A status that is not OK ends the stream.
  absl::Status Take(const v1::WeightRequest& request);
  absl::Status TakeOpen(const v1::Open& open);
  absl::Status TakeGroup(const v1::Group& group);
  void TakeCancel(const v1::Cancel& cancel);

  // A status that is not OK is the group's alone.
  absl::Status Submit(const v1::Group& group);
  absl::Status TakeCredit(uint64_t group_id, uint64_t tokens,
                          const std::shared_ptr<ScoringJob>& job);
  absl::StatusOr<v1::GroupWeights> Weigh(
      const PairSet& set, const std::vector<uint32_t>& rows,
      const std::vector<PairScore>& scores) const;
  void AnswerError(uint64_t group_id, const absl::Status& status);
  // The answer of a pending group; nothing if it is not pending any more.
  void Answer(uint64_t group_id, v1::WeightResponse message);
  void Post(v1::WeightResponse message);

  // No more groups; ends with `status` once those taken are answered.
  void EndWith(const absl::Status& status);
  // Ends at once: drops answers, cancels jobs.
  void Break(const absl::Status& status);
  // Reads the next message, if it is time.
  void ReadOn() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  // Starts the next write, or finishes the call, if it is time.
  void Advance();

  // Constant after construction.
  const ServiceContext& context_;

  // Of the reading reaction alone. `rule_` and `wanted_` are constant once the
  // first group is taken.
  v1::WeightRequest request_;
  bool opened_ = false;
  v1::Objective rule_;
  WantedScores wanted_;

  // gRPC's reference, until OnDone.
  std::shared_ptr<WeightStream> self_;

  absl::Mutex mutex_;
  absl::flat_hash_map<uint64_t, PendingGroup> pending_ ABSL_GUARDED_BY(mutex_);
  std::deque<Reply> outbox_ ABSL_GUARDED_BY(mutex_);
  uint64_t unanswered_tokens_ ABSL_GUARDED_BY(mutex_) = 0;
  uint64_t last_group_id_ ABSL_GUARDED_BY(mutex_) = 0;
  bool reading_ ABSL_GUARDED_BY(mutex_) = true;  // into request_; from Begin on
  bool writing_ ABSL_GUARDED_BY(mutex_) = false;  // outbox_.front()
  bool finished_ ABSL_GUARDED_BY(mutex_) = false;
  // Set: no more groups; the stream ends so once all are answered.
  std::optional<absl::Status> ending_ ABSL_GUARDED_BY(mutex_);
};

}  // namespace varalign::reward_server

#endif  // VARALIGN_REWARD_SERVER_WEIGHT_STREAM_H_
