// In place of nccl_process_group.cc in a build without CUDA.
#include "absl/status/status.h"
#include "collective/nccl_process_group.h"

namespace varalign::collective {

absl::StatusOr<std::unique_ptr<ProcessGroup>> MakeNcclProcessGroup(
    const GroupOptions&, Rendezvous&) {
  return absl::FailedPreconditionError(
      "this build has no NCCL; configure with -DVARALIGN_CUDA=ON");
}

}  // namespace varalign::collective
