// A process group whose ranks are threads of one process: for tests, and for a
// run with one worker.
#ifndef VARALIGN_COLLECTIVE_LOCAL_PROCESS_GROUP_H_
#define VARALIGN_COLLECTIVE_LOCAL_PROCESS_GROUP_H_

#include <memory>

#include "absl/time/time.h"
#include "collective/process_group.h"

namespace varalign::collective {

class Meeting;

// Hands out the groups of ranks 0 to size - 1, which may outlive it.
//
//   LocalHub hub(2, absl::Seconds(10));
//   std::thread other([group = hub.Join(1)] { ... });
//   const std::unique_ptr<ProcessGroup> mine = hub.Join(0);
//
// Beyond what every group promises, a verb returns InvalidArgument on all ranks
// if they issued different verbs or tensors that do not fit together; the group
// is then over. Destroying a rank's group ends it for the others (Aborted).
class LocalHub {
 public:
  // REQUIRES: size >= 1.
  LocalHub(int size, absl::Duration timeout);
  ~LocalHub();

  // REQUIRES: each rank at most once.
  std::unique_ptr<ProcessGroup> Join(int rank);

 private:
  // Shared with the groups: the last of them, on whichever thread, frees it.
  const std::shared_ptr<Meeting> meeting_;
};

}  // namespace varalign::collective

#endif  // VARALIGN_COLLECTIVE_LOCAL_PROCESS_GROUP_H_
