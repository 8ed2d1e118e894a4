// The steps of a rank, from the first lease to the last checkpoint.
#ifndef VARALIGN_WORKER_TRAINING_LOOP_H_
#define VARALIGN_WORKER_TRAINING_LOOP_H_

#include <cstdint>
#include <functional>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "base/clock.h"
#include "collective/process_group.h"
#include "objective/weight_statistics.h"
#include "objective/weight_warnings.h"
#include "optim/schedule.h"
#include "varalign/v1/checkpoint.pb.h"
#include "varalign/v1/coordinator.pb.h"
#include "varalign/v1/run_config.pb.h"
#include "worker/evaluate.h"
#include "worker/flat_shards.h"
#include "worker/lease_keeper.h"
#include "worker/metrics.h"
#include "worker/step_source.h"
#include "worker/trainer.h"

namespace varalign::worker {

// What the loop tells the outside. Rank 0 alone reports steps, evaluations and
// warnings; every rank saves.
struct LoopOutputs {
  std::function<absl::Status(const v1::StepReport&)> report_step;
  std::function<absl::Status(const v1::EvaluationReport&)> report_evaluation;
  std::function<absl::Status(const v1::WarningEvent&)> report_warning;
  std::function<absl::Status(const v1::TrainState&, const TrainState&)> save;
  std::function<void(const std::string& activity)> show_activity;
};

struct LoopOptions {
  StepContext context;
  v1::TrainConfig train;
  uint64_t total_steps = 0;
  uint64_t checkpoint_interval = 0;  // 0: only at the end
  uint64_t evaluation_interval = 0;  // 0: before the first and after the last
  uint64_t generation = 0;
  std::vector<HeldOutExample> held_out;
  bool evaluates = false;  // equal on all ranks, even on one without examples
  Optimum optimum;
};

// Not thread safe. All references outlive the loop.
class TrainingLoop {
 public:
  // `done` is what a resumed run has behind it; its step is the first to run.
  TrainingLoop(LoopOptions options, v1::TrainState done, StepSource& source,
               collective::ProcessGroup& group, FlatShards& shards,
               TrainState& state, TrainerMetrics& metrics,
               const base::Clock& clock, LoopOutputs outputs);

  // Runs every step that `leases` permits, saves and evaluates when it is time.
  //   Ok                   all steps are done and saved
  //   Cancelled            the run was cancelled; saved
  //   FailedPrecondition   (93) a warning under objective.strict, or gradients
  //                        that are not finite several times in a row
  //   others               of the parts; nothing was saved
  absl::Status Run(LeaseKeeper& leases);

  const v1::TrainState& done() const { return done_; }

 private:
  absl::Status Step();
  absl::Status Count(const StepOutcome& outcome, const PreparedStep& prepared);
  v1::StepReport ReportOf(const StepOutcome& outcome,
                          const PreparedStep& prepared, double learning_rate,
                          absl::Duration elapsed) const;
  absl::Status Warn(const StepOutcome& outcome);
  // What the next Warn begins with, into `done_`.
  void KeepRecent();
  absl::Status SaveIfNew();
  absl::Status EvaluateNow();

  const LoopOptions options_;
  const optim::ScheduleOptions schedule_;
  StepSource& source_;
  collective::ProcessGroup& group_;
  FlatShards& shards_;
  TrainState& state_;
  TrainerMetrics& metrics_;
  const base::Clock& clock_;
  const LoopOutputs outputs_;

  // All that a step leaves behind for the next one, besides the tensors.
  v1::TrainState done_;
  uint64_t saved_step_;
  // Since the last look at them; kept in `done_` too.
  objective::WeightStatistics recent_;
};

// The event of a warning, and the status under which a strict run stops.
v1::WarningEvent ToEvent(const objective::Warning& warning, uint64_t step);
absl::Status StopStrictRun(const objective::Warning& warning);

}  // namespace varalign::worker

#endif  // VARALIGN_WORKER_TRAINING_LOOP_H_
