// Ranks that mpirun or srun started, over MPI. For CPU clusters and fabrics
// where processes stay: Open MPI 4 ends the whole job with a dead rank, so it
// is never on the path of recovery, and one run fits into one mpirun.
#ifndef VARALIGN_COLLECTIVE_MPI_PROCESS_GROUP_H_
#define VARALIGN_COLLECTIVE_MPI_PROCESS_GROUP_H_

#include <atomic>
#include <memory>

#include "absl/status/statusor.h"
#include "collective/process_group.h"

namespace varalign::collective {

// MPI of this process, from MPI_Init_thread to MPI_Finalize: both can happen
// once only, so there is one session in the life of a process.
//
// The last owner finalizes, which waits for the other ranks; after a failure it
// does not, since they may never come. Shared by the groups that use it.
class MpiSession {
 public:
  // FailedPrecondition if MPI was started before in this process, or cannot
  // serve calls from the thread that issues the collectives.
  static absl::StatusOr<std::shared_ptr<MpiSession>> Start();
  MpiSession(const MpiSession&) = delete;
  ~MpiSession();

  int rank() const { return rank_; }
  int size() const { return size_; }

  // A group of this session has failed. Any thread.
  void MarkBroken() { broken_ = true; }

 private:
  MpiSession(int rank, int size) : rank_(rank), size_(size) {}

  const int rank_;
  const int size_;
  std::atomic<bool> broken_ = false;
};

// A group of all ranks of `session`, with messages of its own (MPI_Comm_dup, so
// every rank must call it alike).
//
//   FailedPrecondition   rank and size of `options` are not those of MPI
//   Aborted              MPI failed
absl::StatusOr<std::unique_ptr<ProcessGroup>> MakeMpiProcessGroup(
    std::shared_ptr<MpiSession> session, const GroupOptions& options);

}  // namespace varalign::collective

#endif  // VARALIGN_COLLECTIVE_MPI_PROCESS_GROUP_H_
