// Where the ranks of a generation find each other: the coordinator's store.
#ifndef VARALIGN_WORKER_COORDINATOR_RENDEZVOUS_H_
#define VARALIGN_WORKER_COORDINATOR_RENDEZVOUS_H_

#include <string>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "base/clock.h"
#include "collective/process_group.h"
#include "worker/coordinator_client.h"

namespace varalign::worker {

// Keys belong to the client's fencing token: an older generation cannot be met
// by accident. `client` and `clock` outlive the object. Thread safe. Both calls
// block and end with the client's codes (Aborted: the generation is over); Get
// with DeadlineExceeded where nobody set the key within `timeout`.
class CoordinatorRendezvous final : public collective::Rendezvous {
 public:
  CoordinatorRendezvous(CoordinatorClient& client, const base::Clock& clock)
      : client_(client), clock_(clock) {}

  absl::Status Set(const std::string& key, const std::string& value) override;
  absl::StatusOr<std::string> Get(const std::string& key,
                                  absl::Duration timeout) override;

 private:
  CoordinatorClient& client_;
  const base::Clock& clock_;
};

}  // namespace varalign::worker

#endif  // VARALIGN_WORKER_COORDINATOR_RENDEZVOUS_H_
