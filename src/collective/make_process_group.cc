#include "collective/make_process_group.h"

#include "base/status_macros.h"
#include "collective/gloo_process_group.h"
#include "collective/mpi_process_group.h"
#include "collective/nccl_process_group.h"

namespace varalign::collective {

absl::StatusOr<std::unique_ptr<ProcessGroup>> MakeProcessGroup(
    Backend backend, const GroupOptions& options, Rendezvous& rendezvous) {
  switch (backend) {
    case Backend::kGloo:
      return MakeGlooProcessGroup(options, rendezvous);
    case Backend::kMpi: {
      ASSIGN_OR_RETURN(std::shared_ptr<MpiSession> session,
                       MpiSession::Start());
      return MakeMpiProcessGroup(std::move(session), options);
    }
    case Backend::kNccl:
      return MakeNcclProcessGroup(options, rendezvous);
  }
  return absl::InvalidArgumentError("no such collective backend");
}

}  // namespace varalign::collective
