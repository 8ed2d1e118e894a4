#include "coordinator/checkpoint_barrier.h"

#include <algorithm>

#include "absl/strings/str_cat.h"

namespace varalign::coordinator {
namespace {

// Any one rank would do; always the same one makes a repeated grant harmless.
constexpr uint32_t kGrantedRank = 0;

bool IsSame(const v1::FileDigest& a, const v1::FileDigest& b) {
  return a.name() == b.name() && a.num_bytes() == b.num_bytes() &&
         a.xxh3_128() == b.xxh3_128();
}

bool AreSame(const std::vector<v1::FileDigest>& a,
             const std::vector<v1::FileDigest>& b) {
  return std::equal(a.begin(), a.end(), b.begin(), b.end(), IsSame);
}

}  // namespace

absl::Status CheckpointBarrier::Offer(
    uint32_t rank, const std::vector<v1::FileDigest>& files) {
  if (state_ != State::kCollecting && state_ != State::kGranted) {
    return absl::OkStatus();
  }
  if (const auto known = offers_.find(rank); known != offers_.end()) {
    if (AreSame(known->second, files)) return absl::OkStatus();
    return absl::InvalidArgumentError(absl::StrCat(
        "a rank offered other files than before for the checkpoint of step ",
        step_, ": rank ", rank));
  }
  for (const auto& [other, offered] : offers_) {
    for (const v1::FileDigest& file : files) {
      for (const v1::FileDigest& known : offered) {
        if (file.name() != known.name()) continue;
        return absl::InvalidArgumentError(
            absl::StrCat("two ranks offered the same file: ", file.name(),
                         ", ranks ", other, " and ", rank));
      }
    }
  }
  offers_[rank] = files;
  return absl::OkStatus();
}

void CheckpointBarrier::Fail(uint32_t rank, const std::string& reason) {
  if (state_ == State::kCommitted || state_ == State::kFailed) return;
  state_ = State::kFailed;
  failure_ = absl::StrCat("rank ", rank, ": ", reason);
}

bool CheckpointBarrier::IsComplete() const {
  return state_ == State::kCollecting && offers_.size() == world_size_;
}

void CheckpointBarrier::Grant() {
  state_ = State::kGranted;
  for (const auto& [_, files] : offers_) {
    for (const v1::FileDigest& file : files) num_bytes_ += file.num_bytes();
  }
}

void CheckpointBarrier::RestoreGrant(uint64_t num_bytes) {
  state_ = State::kGranted;
  num_bytes_ = num_bytes;
}

absl::Status CheckpointBarrier::Confirm(uint32_t rank) {
  if (state_ == State::kCommitted) return absl::OkStatus();
  if (state_ != State::kGranted || rank != kGrantedRank) {
    return absl::FailedPreconditionError(
        absl::StrCat("this checkpoint was not granted to this rank: step ",
                     step_, ", rank ", rank));
  }
  state_ = State::kCommitted;
  return absl::OkStatus();
}

v1::CommitCheckpointResponse CheckpointBarrier::AnswerFor(uint32_t rank) const {
  v1::CommitCheckpointResponse answer;
  answer.set_outcome(v1::CommitCheckpointResponse::PENDING);
  if (state_ == State::kCommitted) {
    answer.set_outcome(v1::CommitCheckpointResponse::COMMITTED);
  } else if (state_ == State::kFailed) {
    answer.set_outcome(v1::CommitCheckpointResponse::FAILED_OUTCOME);
    answer.set_failure(failure_);
  } else if (state_ == State::kGranted && rank == kGrantedRank &&
             offers_.size() == world_size_) {
    answer.set_outcome(v1::CommitCheckpointResponse::GRANTED);
    for (const auto& [_, files] : offers_) {
      for (const v1::FileDigest& file : files) *answer.add_files() = file;
    }
  }
  return answer;
}

}  // namespace varalign::coordinator
