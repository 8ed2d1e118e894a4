// The barrier and the grant of one checkpoint, a pure state machine:
//
//   COLLECTING --all ranks have offered--> GRANTED (to rank 0)
//   GRANTED    --rank 0 confirms--> COMMITTED
//   COLLECTING, GRANTED --a rank says it could not write--> FAILED
//
// Answers depend on the state alone, so that a rank whose reply was lost asks
// again and gets the same.
#ifndef VARALIGN_COORDINATOR_CHECKPOINT_BARRIER_H_
#define VARALIGN_COORDINATOR_CHECKPOINT_BARRIER_H_

#include <cstdint>
#include <map>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "varalign/v1/coordinator.pb.h"

namespace varalign::coordinator {

// Not thread safe.
class CheckpointBarrier {
 public:
  enum class State { kCollecting, kGranted, kCommitted, kFailed };

  CheckpointBarrier(uint64_t step, uint32_t world_size)
      : step_(step), world_size_(world_size) {}

  // A rank's part is on disk. A repeat changes nothing.
  //
  //   InvalidArgument     the rank has offered other files before, or a file
  //                       that another rank has offered
  absl::Status Offer(uint32_t rank, const std::vector<v1::FileDigest>& files);

  // A rank could not write; the first reason stays. Nothing can undo it.
  void Fail(uint32_t rank, const std::string& reason);

  // All ranks have offered, and nobody has been granted.
  bool IsComplete() const;
  // REQUIRES: IsComplete().
  void Grant();
  // After a restart: the grant is in the database, the offers are not. Rank 0
  // may confirm at once; if it asks for its grant again, it waits until all
  // ranks have offered again.
  void RestoreGrant(uint64_t num_bytes);

  // FailedPrecondition: nothing was granted, or not to this rank.
  absl::Status Confirm(uint32_t rank);

  v1::CommitCheckpointResponse AnswerFor(uint32_t rank) const;

  uint64_t step() const { return step_; }
  State state() const { return state_; }
  uint64_t num_bytes() const { return num_bytes_; }

 private:
  const uint64_t step_;
  const uint32_t world_size_;
  State state_ = State::kCollecting;
  std::map<uint32_t, std::vector<v1::FileDigest>> offers_;  // by rank
  uint64_t num_bytes_ = 0;
  std::string failure_;
};

}  // namespace varalign::coordinator

#endif  // VARALIGN_COORDINATOR_CHECKPOINT_BARRIER_H_
