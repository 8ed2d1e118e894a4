// Ranks in processes, over TCP: the transport of Gloo, as libtorch_cpu has it.
// Works on any host and survives the loss of a peer: survivors get Aborted in
// well under a second after a kill, DeadlineExceeded after the timeout where a
// peer stands still, and can form the next group in the same process.
#ifndef VARALIGN_COLLECTIVE_GLOO_PROCESS_GROUP_H_
#define VARALIGN_COLLECTIVE_GLOO_PROCESS_GROUP_H_

#include <memory>

#include "absl/status/statusor.h"
#include "collective/process_group.h"

namespace varalign::collective {

// Blocks until all ranks are connected. `rendezvous` is used only meanwhile;
// its keys must be those of one generation alone.
//
//   InvalidArgument     no such interface or host name
//   DeadlineExceeded    a rank did not come within the timeout
//   Aborted             a rank came and went
//   others              what `rendezvous` returned
absl::StatusOr<std::unique_ptr<ProcessGroup>> MakeGlooProcessGroup(
    const GroupOptions& options, Rendezvous& rendezvous);

}  // namespace varalign::collective

#endif  // VARALIGN_COLLECTIVE_GLOO_PROCESS_GROUP_H_
