// Ranks with one GPU each, over NCCL by its C API.
#ifndef VARALIGN_COLLECTIVE_NCCL_PROCESS_GROUP_H_
#define VARALIGN_COLLECTIVE_NCCL_PROCESS_GROUP_H_

#include <memory>

#include "absl/status/statusor.h"
#include "collective/process_group.h"

namespace varalign::collective {

// Uses the calling thread's current CUDA device. Blocks until all ranks have
// come; rank 0 makes the id and leaves it under the key "nccl_id", so the keys
// of `rendezvous` must be those of one generation alone.
//
//   FailedPrecondition  this build has no NCCL, or the library loaded differs
//                       from the header compiled against
//   DeadlineExceeded    a rank did not come within the timeout
//   Aborted             NCCL failed
//   others              what `rendezvous` returned
absl::StatusOr<std::unique_ptr<ProcessGroup>> MakeNcclProcessGroup(
    const GroupOptions& options, Rendezvous& rendezvous);

}  // namespace varalign::collective

#endif  // VARALIGN_COLLECTIVE_NCCL_PROCESS_GROUP_H_
