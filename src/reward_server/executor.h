// The threads between the scheduler and the models: one that owns the device
// and does nothing but run batches, one that hands results back (store,
// weights, replies), so that the device does not wait for them.
#ifndef VARALIGN_REWARD_SERVER_EXECUTOR_H_
#define VARALIGN_REWARD_SERVER_EXECUTOR_H_

#include <memory>
#include <thread>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "base/bounded_queue.h"
#include "base/clock.h"
#include "reward_server/scheduler.h"
#include "reward_server/scorer.h"

namespace varalign::reward_server {

// Runs from construction to destruction. Close the scheduler first, else the
// destructor waits for it.
class Executor {
 public:
  // All but `scorer` outlive the executor.
  Executor(std::unique_ptr<Scorer> scorer, Scheduler& scheduler,
           const base::Clock& clock, Metrics& metrics);
  Executor(const Executor&) = delete;
  ~Executor();

 private:
  struct ScoredBatch {
    Batch batch;
    std::vector<absl::StatusOr<ModelScore>> scores;
    absl::Duration compute;
  };

  void RunDevice();
  void RunCompletion();

  const std::unique_ptr<Scorer> scorer_;  // the device thread's
  Scheduler& scheduler_;
  const base::Clock& clock_;
  Metrics& metrics_;

  base::BoundedQueue<ScoredBatch> scored_;
  std::thread completion_thread_;
  std::thread device_thread_;
};

}  // namespace varalign::reward_server

#endif  // VARALIGN_REWARD_SERVER_EXECUTOR_H_
