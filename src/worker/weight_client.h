// Log-weights from reward servers: a Z-set goes to the server that its hash
// picks, and to another one when that is lost.
#ifndef VARALIGN_WORKER_WEIGHT_CLIENT_H_
#define VARALIGN_WORKER_WEIGHT_CLIENT_H_

#include <cstdint>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/synchronization/mutex.h"
#include "absl/time/time.h"
#include "base/clock.h"
#include "telemetry/metrics.h"
#include "varalign/v1/reward.pb.h"
#include "worker/departure.h"
#include "worker/weight_lane.h"

namespace varalign::worker {

// Thread safe. The caller bounds how many Z-sets are under way.
class WeightClient {
 public:
  struct Options {
    std::vector<std::string> servers;  // HOST:PORT, at least one
    v1::Open open;
    // From Await to the answer: sets that are sent ahead wait for those before
    // them, however long those take.
    absl::Duration timeout = absl::Minutes(10);
  };

  // Dials no one yet. All references outlive the client.
  static absl::StatusOr<std::unique_ptr<WeightClient>> Create(
      Options options, const base::Clock& clock, const Departure& departure,
      telemetry::Family<telemetry::Counter>& requests);
  WeightClient(const WeightClient&) = delete;
  ~WeightClient();

  // Returns a ticket. `hash` picks the server, so that all ranks ask the same
  // one for the same Z-set.
  uint64_t Send(v1::Group group, uint64_t tokens, uint64_t hash);

  // Blocks until the answer of a ticket, once.
  //   DeadlineExceeded   it did not come within the timeout
  //   Unavailable        no server is there
  //   others             as the server says
  absl::StatusOr<v1::GroupWeights> Await(uint64_t ticket);

 private:
  WeightClient(Options options, const base::Clock& clock,
               const Departure& departure,
               telemetry::Family<telemetry::Counter>& requests);

  void Answer(uint64_t ticket, absl::StatusOr<v1::GroupWeights> answer);
  bool MoveOn(size_t from, std::map<uint64_t, WeightJob>& jobs);
  absl::Duration GiveUpAt(uint64_t ticket);

  const Options options_;
  const base::Clock& clock_;
  const Departure& departure_;
  telemetry::Family<telemetry::Counter>& requests_;

  absl::Mutex mutex_;
  uint64_t last_ticket_ ABSL_GUARDED_BY(mutex_) = 0;
  std::map<uint64_t, absl::StatusOr<v1::GroupWeights>> answers_
      ABSL_GUARDED_BY(mutex_);
  // Tickets that are awaited, until when.
  std::map<uint64_t, absl::Duration> awaited_ ABSL_GUARDED_BY(mutex_);

  // Set before any of them has a job; their threads call the three above.
  std::vector<std::unique_ptr<WeightLane>> lanes_;
};

}  // namespace varalign::worker

#endif  // VARALIGN_WORKER_WEIGHT_CLIENT_H_
