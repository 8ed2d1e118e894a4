// Permission to run steps, asked for ahead of need, so that training does not
// wait for the coordinator and goes on while it restarts.
#ifndef VARALIGN_WORKER_LEASE_KEEPER_H_
#define VARALIGN_WORKER_LEASE_KEEPER_H_

#include <cstdint>
#include <functional>
#include <optional>
#include <thread>

#include "absl/base/thread_annotations.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/synchronization/mutex.h"
#include "absl/time/time.h"
#include "base/clock.h"
#include "varalign/v1/coordinator.pb.h"
#include "worker/departure.h"

namespace varalign::worker {

enum class Permit {
  kRun,
  kFinish,       // all steps are done: save, evaluate, leave with 0
  kSaveAndStop,  // cancelled: save here, leave with 93
};

// Leases follow one another; each is asked for by the step at which it begins,
// and all ranks that ask so get the same answer, hence stop at the same step.
// Thread safe; owns one thread.
class LeaseKeeper {
 public:
  // Asks for the lease that begins at a step; blocks.
  using Ask =
      std::function<absl::StatusOr<v1::LeaseStepsResponse>(uint64_t begin)>;

  struct Lease {
    uint64_t begin = 0;
    uint64_t end = 0;
    v1::LeaseStepsResponse::Then then =
        v1::LeaseStepsResponse::THEN_UNSPECIFIED;
    absl::Duration expires;  // monotonic
  };

  // `clock` and `departure` outlive the keeper.
  LeaseKeeper(uint64_t start_step, Ask ask, const base::Clock& clock,
              Departure& departure);
  LeaseKeeper(const LeaseKeeper&) = delete;
  // Waits for a call that is under way.
  ~LeaseKeeper();

  // Blocks until `step` is covered by a lease that has not run out, or there
  // are no more steps. Steps are asked for in order. The error that made the
  // rank leave, if it leaves.
  absl::StatusOr<Permit> Await(uint64_t step);

 private:
  // What to ask the coordinator for.
  struct Wish {
    uint64_t begin = 0;
    bool is_renewal = false;  // of the current lease
  };

  void Run();
  // Waits a while for a wish. False: the keeper stops.
  bool AwaitWish(std::optional<Wish>& wish);
  void Take(const Lease& lease, const Wish& wish);
  // The step to ask for, if one is wanted now.
  std::optional<uint64_t> Wanted() const ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  bool IsExpired(const Lease& lease) const;

  const Ask ask_;
  const base::Clock& clock_;
  Departure& departure_;

  mutable absl::Mutex mutex_;
  uint64_t step_ ABSL_GUARDED_BY(mutex_);  // asked for by the trainer
  Lease current_ ABSL_GUARDED_BY(mutex_);
  std::optional<Lease> next_ ABSL_GUARDED_BY(mutex_);
  bool renew_ ABSL_GUARDED_BY(mutex_) = false;
  bool stopping_ ABSL_GUARDED_BY(mutex_) = false;

  std::thread thread_;
};

}  // namespace varalign::worker

#endif  // VARALIGN_WORKER_LEASE_KEEPER_H_
