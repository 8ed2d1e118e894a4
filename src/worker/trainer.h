// One optimizer step, the heart of the worker.
#ifndef VARALIGN_WORKER_TRAINER_H_
#define VARALIGN_WORKER_TRAINER_H_

#include <cstdint>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "model/parameters.h"
#include "model/recompute.h"
#include "objective/weight_statistics.h"
#include "optim/adamw.h"
#include "worker/flat_shards.h"
#include "worker/micro_batch.h"

namespace varalign::worker {

// What a step changes; one rank's. Not thread safe.
struct TrainState {
  model::Parameters parameters;
  // Of this rank's slice of each bucket; the master is that part of
  // `parameters.flat` itself.
  std::vector<optim::AdamWState> adamw;
  optim::AdamWOptions adamw_options;
  double max_grad_norm = 0;  // 0: off
  model::Recompute recompute = model::Recompute::kNothing;

  int64_t updates() const { return adamw.front().updates; }
};

// Zero moments; gives the parameters their gradients and makes `shards` their
// watcher, which must outlive the state.
TrainState MakeTrainState(model::Parameters parameters, FlatShards& shards);

struct StepOutcome {
  double loss = 0;       // sum(w nll) / D over all ranks; under kind dpo the
                         // preference loss over D
  double grad_norm = 0;  // of the reduced gradient over D, before clipping
  bool skipped = false;  // the norm was not finite: parameters unchanged
  // Over all ranks: those of the rows, each with its prompt, and those that
  // were computed, a shared prompt once.
  uint64_t tokens = 0;
  uint64_t computed_tokens = 0;
  objective::WeightStatistics statistics;  // over all ranks
  objective::PreferenceSums preferences;   // of kind dpo; over all ranks
  // Wait for collectives since the last step, on this rank.
  absl::Duration exposed_communication = absl::ZeroDuration();
};

// One optimizer step: gradients of all micro-batches, summed over the ranks,
// scaled once by the batch's divisor and the clip, AdamW on this rank's slices,
// the slices gathered. Every rank calls it for the same step, with its own part
// of the batch and the same `learning_rate`; it blocks in collectives. The
// parameters may still be on their way when it returns: passes over the model
// wait for them, other readers by FlatShards::AwaitParameters.
//
// A gradient that is not finite is no error: the step is skipped on all ranks.
// Codes are those of the group (Aborted: a peer is gone; DeadlineExceeded: it
// did not come). After any error `state` may be half updated: restore it.
absl::StatusOr<StepOutcome> TrainStep(const LocalBatch& batch,
                                      double learning_rate, FlatShards& shards,
                                      TrainState& state);

}  // namespace varalign::worker

#endif  // VARALIGN_WORKER_TRAINER_H_
