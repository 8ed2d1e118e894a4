// The choice between the groups of processes, in one place.
#ifndef VARALIGN_COLLECTIVE_MAKE_PROCESS_GROUP_H_
#define VARALIGN_COLLECTIVE_MAKE_PROCESS_GROUP_H_

#include <memory>

#include "absl/status/statusor.h"
#include "collective/process_group.h"

namespace varalign::collective {

enum class Backend { kGloo, kMpi, kNccl };

// Every rank calls it alike; blocks until all are there or the timeout is over.
// Codes: gloo_process_group.h, mpi_process_group.h, nccl_process_group.h. With
// kMpi it can succeed once in the life of a process, and `rendezvous` is not
// used.
absl::StatusOr<std::unique_ptr<ProcessGroup>> MakeProcessGroup(
    Backend backend, const GroupOptions& options, Rendezvous& rendezvous);

}  // namespace varalign::collective

#endif  // VARALIGN_COLLECTIVE_MAKE_PROCESS_GROUP_H_
