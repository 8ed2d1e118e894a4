#include "worker/training_loop.h"

#include <algorithm>
#include <cmath>
#include <utility>

#include "absl/strings/str_cat.h"
#include "base/exit_code.h"
#include "base/logging.h"
#include "base/status_macros.h"
#include "worker/local_batch.h"

namespace varalign::worker {
namespace {

// So many steps without an update in a row end the run.
constexpr uint64_t kMaxSkippedInARow = 3;
// Rows after which the weights' statistics are looked at for warnings.
constexpr uint64_t kRowsOfAWarning = 64;

optim::ScheduleOptions ScheduleOf(const v1::TrainConfig& train,
                                  uint64_t total_steps) {
  optim::Shape shape = optim::Shape::kCosine;
  if (train.schedule() == v1::TrainConfig::SCHEDULE_LINEAR) {
    shape = optim::Shape::kLinear;
  } else if (train.schedule() == v1::TrainConfig::SCHEDULE_CONSTANT) {
    shape = optim::Shape::kConstant;
  }
  return {.shape = shape,
          .peak = train.learning_rate(),
          .warmup_steps = static_cast<uint64_t>(
              std::ceil(train.warmup() * static_cast<double>(total_steps))),
          .total_steps = total_steps};
}

v1::WeightStatistics ToProto(const objective::WeightMetrics& metrics) {
  v1::WeightStatistics proto;
  proto.set_ess_ratio(metrics.ess_ratio.value_or(0));
  proto.set_ess_norm(metrics.ess_norm.value_or(0));
  proto.set_max(metrics.max.value_or(0));
  proto.set_mean(metrics.mean.value_or(0));
  proto.set_length_corr(metrics.length_corr.value_or(0));
  proto.set_reward_mean(metrics.reward_mean.value_or(0));
  proto.set_weighted_reward_mean(metrics.weighted_reward_mean.value_or(0));
  proto.set_log_z_mean(metrics.log_z_mean.value_or(0));
  proto.set_trivial_z_rows(metrics.trivial_z_rows);
  proto.set_small_share(metrics.small_share.value_or(0));
  proto.set_kl(metrics.kl.value_or(0));
  proto.set_clipped_share(metrics.clipped_share.value_or(0));
  proto.set_reward_length_corr(metrics.reward_length_corr.value_or(0));
  proto.set_ref_share(metrics.ref_share.value_or(0));
  proto.set_entropy(metrics.entropy.value_or(0));
  proto.set_log_z_sd(metrics.log_z_sd.value_or(0));
  proto.set_response_length(metrics.response_length.value_or(0));
  if (metrics.chosen_mean) proto.set_chosen_mean(*metrics.chosen_mean);
  if (metrics.rejected_mean) proto.set_rejected_mean(*metrics.rejected_mean);
  return proto;
}

v1::PreferenceStatistics ToProto(const objective::PreferenceSums& sums) {
  using Sums = objective::PreferenceSums;
  v1::PreferenceStatistics proto;
  proto.set_pairs(sums.pairs());
  proto.set_accuracy(sums.Mean(Sums::kRight));
  proto.set_chosen_reward(sums.Mean(Sums::kChosenReward));
  proto.set_rejected_reward(sums.Mean(Sums::kRejectedReward));
  proto.set_margin(proto.chosen_reward() - proto.rejected_reward());
  proto.set_chosen_logprob(sums.Mean(Sums::kChosenLogprob));
  proto.set_rejected_logprob(sums.Mean(Sums::kRejectedLogprob));
  return proto;
}

// What a checkpoint kept. Nothing of it fits where another version wrote it,
// with other sums: the window then begins anew.
objective::WeightStatistics RecentOf(const v1::TrainState& done) {
  objective::WeightStatistics recent;
  const auto& kept = done.recent_weight_sums();
  if (static_cast<size_t>(kept.size()) == recent.sums().size()) {
    std::copy(kept.begin(), kept.end(), recent.sums().begin());
  }
  return recent;
}

// True the first time.
bool AddCode(const std::string& code, v1::TrainState& done) {
  auto& codes = *done.mutable_warned();
  const auto place = std::lower_bound(codes.begin(), codes.end(), code);
  if (place != codes.end() && *place == code) return false;
  const auto index = place - codes.begin();
  *codes.Add() = code;
  std::rotate(codes.begin() + index, codes.end() - 1, codes.end());
  return true;
}

}  // namespace

v1::WarningEvent ToEvent(const objective::Warning& warning, uint64_t step) {
  v1::WarningEvent event;
  event.set_code(warning.code);
  event.set_message(warning.message);
  event.set_step(step);
  return event;
}

absl::Status StopStrictRun(const objective::Warning& warning) {
  return base::WithExitCode(absl::FailedPreconditionError(absl::StrCat(
                                "stopped because objective.strict is set: ",
                                warning.code, ": ", warning.message)),
                            base::kExitStopped);
}

TrainingLoop::TrainingLoop(LoopOptions options, v1::TrainState done,
                           StepSource& source, collective::ProcessGroup& group,
                           FlatShards& shards, TrainState& state,
                           TrainerMetrics& metrics, const base::Clock& clock,
                           LoopOutputs outputs)
    : options_(std::move(options)),
      schedule_(ScheduleOf(options_.train, options_.total_steps)),
      source_(source),
      group_(group),
      shards_(shards),
      state_(state),
      metrics_(metrics),
      clock_(clock),
      outputs_(std::move(outputs)),
      done_(std::move(done)),
      saved_step_(done_.step()),
      recent_(RecentOf(done_)) {}

absl::Status TrainingLoop::Run(LeaseKeeper& leases) {
  // A resumed run was evaluated when it began.
  if (done_.step() == 0) RETURN_IF_ERROR(EvaluateNow());
  while (true) {
    outputs_.show_activity("");  // steps tell of themselves
    ASSIGN_OR_RETURN(const Permit permit, leases.Await(done_.step()));
    if (permit == Permit::kSaveAndStop) {
      RETURN_IF_ERROR(SaveIfNew());
      return absl::CancelledError(
          absl::StrCat("cancelled after step ", done_.step()));
    }
    if (permit == Permit::kFinish) {
      RETURN_IF_ERROR(SaveIfNew());
      return EvaluateNow();
    }
    RETURN_IF_ERROR(Step());
    const uint64_t step = done_.step();
    if (step == options_.total_steps) continue;
    const auto due = [step](uint64_t interval) {
      return interval > 0 && step % interval == 0;
    };
    if (due(options_.checkpoint_interval)) RETURN_IF_ERROR(SaveIfNew());
    if (due(options_.evaluation_interval)) RETURN_IF_ERROR(EvaluateNow());
  }
}

absl::Status TrainingLoop::Step() {
  const absl::Duration begin = clock_.MonotonicNow();
  const double learning_rate = optim::LearningRate(done_.step(), schedule_);
  ASSIGN_OR_RETURN(const PreparedStep prepared, source_.Take(done_.step()));
  const LocalBatch batch = MakeLocalBatch(options_.context, prepared,
                                          options_.train.micro_batch_tokens(),
                                          state_.adamw.front().m.scalar_type());
  ASSIGN_OR_RETURN(const StepOutcome outcome,
                   TrainStep(batch, learning_rate, shards_, state_));

  const v1::StepReport report =
      ReportOf(outcome, prepared, learning_rate, clock_.MonotonicNow() - begin);
  metrics_.Observe(report);
  RETURN_IF_ERROR(outputs_.report_step(report));
  RETURN_IF_ERROR(Count(outcome, prepared));
  return Warn(outcome);
}

absl::Status TrainingLoop::Count(const StepOutcome& outcome,
                                 const PreparedStep& prepared) {
  done_.set_step(done_.step() + 1);
  done_.set_tokens(done_.tokens() + outcome.tokens);
  done_.set_rows(done_.rows() + prepared.batch.planned.trained_rows);
  done_.set_skipped_steps(done_.skipped_steps() + outcome.skipped);
  done_.set_skipped_in_a_row(outcome.skipped ? done_.skipped_in_a_row() + 1
                                             : 0);
  if (done_.skipped_in_a_row() < kMaxSkippedInARow) return absl::OkStatus();
  return base::WithExitCode(
      absl::FailedPreconditionError(
          absl::StrCat("gradients were not finite in ", kMaxSkippedInARow,
                       " steps in a row, the last was step ", done_.step() - 1,
                       "; start a new run with a smaller train.learning_rate, "
                       "from model.path: the newest checkpoint's model")),
      base::kExitStopped);
}

v1::StepReport TrainingLoop::ReportOf(const StepOutcome& outcome,
                                      const PreparedStep& prepared,
                                      double learning_rate,
                                      absl::Duration elapsed) const {
  const StepBatch& batch = prepared.batch;
  const double seconds = absl::ToDoubleSeconds(elapsed);
  v1::StepReport report;
  report.set_step(batch.plan.step);
  report.set_epoch(batch.plan.epoch);
  report.set_block_begin(batch.plan.block_begin);
  report.set_block_end(batch.plan.block_end);
  report.set_examples(batch.examples.size());
  report.set_rows(batch.planned.trained_rows);
  report.set_tokens(outcome.tokens);
  report.set_computed_tokens(outcome.computed_tokens);
  report.set_loss(outcome.loss);
  report.set_grad_norm(outcome.grad_norm);
  report.set_learning_rate(learning_rate);
  report.set_seconds(seconds);
  report.set_weight_wait_seconds(absl::ToDoubleSeconds(prepared.weight_wait));
  report.set_skipped(outcome.skipped);
  if (options_.context.rule.kind() == v1::Objective::KIND_DPO) {
    *report.mutable_preferences() = ToProto(outcome.preferences);
  } else {
    *report.mutable_weights() = ToProto(outcome.statistics.Metrics());
  }
  report.set_generation(options_.generation);
  report.set_tokens_per_second(static_cast<double>(outcome.tokens) /
                               std::max(seconds, 1e-9));
  report.set_exposed_communication_seconds(
      absl::ToDoubleSeconds(outcome.exposed_communication));
  return report;
}

// The statistics are equal on all ranks, so all of them stop, or none.
absl::Status TrainingLoop::Warn(const StepOutcome& outcome) {
  recent_.Merge(outcome.statistics);
  const objective::WeightMetrics metrics = recent_.Metrics();
  const bool is_due = metrics.rows >= kRowsOfAWarning;
  if (is_due) recent_ = objective::WeightStatistics();
  KeepRecent();
  if (!is_due) return absl::OkStatus();
  const v1::Objective& rule = options_.context.rule;
  for (const auto& warning : objective::MetricWarnings(rule, metrics)) {
    if (!AddCode(warning.code, done_)) continue;
    RETURN_IF_ERROR(
        outputs_.report_warning(ToEvent(warning, done_.step() - 1)));
    if (rule.strict() && warning.severity == objective::Severity::kWarning) {
      return StopStrictRun(warning);
    }
  }
  return absl::OkStatus();
}

void TrainingLoop::KeepRecent() {
  const auto sums = recent_.sums();
  done_.mutable_recent_weight_sums()->Assign(sums.begin(), sums.end());
}

absl::Status TrainingLoop::SaveIfNew() {
  if (done_.step() == saved_step_) return absl::OkStatus();
  RETURN_IF_ERROR(shards_.AwaitParameters());
  outputs_.show_activity("saving");
  const absl::Duration begin = clock_.MonotonicNow();
  RETURN_IF_ERROR(outputs_.save(done_, state_));
  saved_step_ = done_.step();
  metrics_.checkpoints.Increment();
  metrics_.checkpoint_seconds.Observe(
      absl::ToDoubleSeconds(clock_.MonotonicNow() - begin));
  return absl::OkStatus();
}

absl::Status TrainingLoop::EvaluateNow() {
  if (!options_.evaluates) return absl::OkStatus();
  RETURN_IF_ERROR(shards_.AwaitParameters());
  outputs_.show_activity("evaluating");
  ASSIGN_OR_RETURN(const v1::EvaluationReport report,
                   Evaluate(options_.held_out, state_.parameters,
                            options_.optimum, done_.step(), group_));
  return outputs_.report_evaluation(report);
}

}  // namespace varalign::worker
