#include "worker/metrics.h"

#include "telemetry/single_series.h"
#include "telemetry/step_help.h"

namespace varalign::worker {
namespace {

using telemetry::AddSingleCounter;
using telemetry::AddSingleGauge;

telemetry::Histogram& Seconds(telemetry::Registry& registry, const char* name,
                              const char* help) {
  return telemetry::AddSingleHistogram(registry, name, help,
                                       telemetry::StepSecondsBuckets());
}

}  // namespace

SupervisorMetrics::SupervisorMetrics(telemetry::Registry& registry)
    : coordinator_connected(AddSingleGauge(
          registry, "varalign_coordinator_connected",
          "1 while the slot is registered with the coordinator.")),
      trainer_starts(
          AddSingleCounter(registry, "varalign_trainer_starts_total",
                           "Training processes started by this slot.")),
      trainer_exits(registry.AddCounter(
          {"varalign_trainer_exits_total",
           "Training processes that ended, by how they did.",
           {{"reason", {"done", "stopped", "error", "signal"}}}})) {}

StepWeightMetrics::StepWeightMetrics(telemetry::Registry& registry)
    : ess_ratio(AddSingleGauge(registry, "varalign_weight_ess_ratio",
                               telemetry::kEssRatioHelp)),
      ess_norm(AddSingleGauge(
          registry, "varalign_weight_ess_norm",
          "Mean of (ESS-1)/(|S|-1) over Z-sets of two rows or more.")),
      max(AddSingleGauge(registry, "varalign_weight_max",
                         "Mean over Z-sets of their largest weight.")),
      mean(AddSingleGauge(registry, "varalign_weight_mean",
                          "Mean weight of a row.")),
      small_share(AddSingleGauge(registry, "varalign_weight_small_share",
                                 "Share of rows with w < 1e-3.")),
      clipped_share(AddSingleGauge(registry, "varalign_weight_clipped_share",
                                   "Share of rows bounded by weight_clip.")),
      kl(AddSingleGauge(registry, "varalign_weight_kl",
                        "Mean over Z-sets of sum p log(K p), nats.")),
      length_corr(AddSingleGauge(
          registry, "varalign_weight_length_corr",
          "Correlation of log w and token count within Z-sets.")),
      reward_length_corr(AddSingleGauge(
          registry, "varalign_reward_length_corr",
          "Correlation of the reward and token count within Z-sets.")),
      ref_share(AddSingleGauge(
          registry, "varalign_ref_share",
          "Share of the reference term in the spread of log w within Z-sets.")),
      log_z_mean(AddSingleGauge(registry, "varalign_log_z_mean",
                                "Mean log Z of the Z-sets.")),
      trivial_z_rows(AddSingleCounter(registry, "varalign_trivial_z_rows_total",
                                      "Rows that were their own Z-set.")),
      reward_mean(AddSingleGauge(registry, "varalign_reward_mean",
                                 "Mean reward of the last step's Z-sets.")),
      weighted_reward_mean(AddSingleGauge(registry,
                                          "varalign_weighted_reward_mean",
                                          "Mean over Z-sets of sum p r.")) {}

StepPreferenceMetrics::StepPreferenceMetrics(telemetry::Registry& registry)
    : accuracy(AddSingleGauge(registry, "varalign_preference_accuracy",
                              "Share of the last step's pairs whose chosen "
                              "response has the larger implicit reward.")),
      margin(AddSingleGauge(registry, "varalign_preference_margin",
                            "Implicit reward of chosen over rejected, mean "
                            "over the last step's pairs.")),
      chosen_reward(AddSingleGauge(
          registry, "varalign_implicit_reward_chosen",
          "Mean implicit reward of the last step's chosen responses.")),
      rejected_reward(AddSingleGauge(
          registry, "varalign_implicit_reward_rejected",
          "Mean implicit reward of the last step's rejected responses.")),
      chosen_logprob(AddSingleGauge(
          registry, "varalign_logprob_chosen",
          "Mean log-probability of the last step's chosen responses, nats.")),
      rejected_logprob(AddSingleGauge(
          registry, "varalign_logprob_rejected",
          "Mean log-probability of the last step's rejected responses, "
          "nats.")) {}

void StepPreferenceMetrics::Observe(const v1::PreferenceStatistics& step) {
  accuracy.Set(step.accuracy());
  margin.Set(step.margin());
  chosen_reward.Set(step.chosen_reward());
  rejected_reward.Set(step.rejected_reward());
  chosen_logprob.Set(step.chosen_logprob());
  rejected_logprob.Set(step.rejected_logprob());
}

void StepWeightMetrics::Observe(const v1::WeightStatistics& step) {
  ess_ratio.Set(step.ess_ratio());
  ess_norm.Set(step.ess_norm());
  max.Set(step.max());
  mean.Set(step.mean());
  small_share.Set(step.small_share());
  clipped_share.Set(step.clipped_share());
  kl.Set(step.kl());
  length_corr.Set(step.length_corr());
  reward_length_corr.Set(step.reward_length_corr());
  ref_share.Set(step.ref_share());
  log_z_mean.Set(step.log_z_mean());
  trivial_z_rows.Increment(static_cast<double>(step.trivial_z_rows()));
  reward_mean.Set(step.reward_mean());
  weighted_reward_mean.Set(step.weighted_reward_mean());
}

TrainerMetrics::TrainerMetrics(telemetry::Registry& registry)
    : step(AddSingleGauge(registry, "varalign_step", telemetry::kStepHelp)),
      steps(AddSingleCounter(registry, "varalign_steps_total",
                             telemetry::kStepsHelp)),
      rows(AddSingleCounter(registry, "varalign_rows_total",
                            telemetry::kRowsHelp)),
      tokens(registry.AddCounter({"varalign_tokens_total",
                                  telemetry::kTokensHelp,
                                  {{"kind", {"useful", "computed"}}}})),
      skipped_steps(AddSingleCounter(registry, "varalign_skipped_steps_total",
                                     telemetry::kSkippedStepsHelp)),
      step_seconds(Seconds(registry, "varalign_step_seconds",
                           "Wall time of a step, waits included.")),
      weight_wait_seconds(
          AddSingleCounter(registry, "varalign_weight_wait_seconds_total",
                           "Time that steps waited for their weights.")),
      exposed_communication_seconds(AddSingleCounter(
          registry, "varalign_exposed_communication_seconds_total",
          "Time that steps waited for collectives: what did not run beside the "
          "passes over the model.")),
      tokens_per_second(AddSingleGauge(
          registry, "varalign_tokens_per_second",
          "Useful tokens of the last step over its wall time, all ranks.")),
      loss(AddSingleGauge(registry, "varalign_loss", telemetry::kLossHelp)),
      grad_norm(AddSingleGauge(registry, "varalign_grad_norm",
                               telemetry::kGradNormHelp)),
      learning_rate(AddSingleGauge(registry, "varalign_learning_rate",
                                   telemetry::kLearningRateHelp)),
      weights(registry),
      preferences(registry),
      checkpoints(AddSingleCounter(registry, "varalign_checkpoints_total",
                                   "Checkpoints committed.")),
      checkpoint_seconds(
          Seconds(registry, "varalign_checkpoint_seconds",
                  "Time from a step to the next one that a checkpoint took.")),
      reward_client_requests(
          registry.AddCounter({"varalign_reward_client_requests_total",
                               "Requests to reward servers and Z-sets of their "
                               "streams, by how they "
                               "ended; retried: sent once more.",
                               {{"result", {"ok", "error", "retried"}}}})),
      reward_source_mean(registry.AddGauge(
          {"varalign_reward_source_mean",
           "Mean over the training rows of what a source of the reward says, "
           "before its weight; only where reward rules are given.",
           {{"source",
             {"model", "column", "pattern", "length", "exact_match"}}}})) {}

void TrainerMetrics::Observe(const v1::StepReport& report) {
  step.Set(static_cast<double>(report.step() + 1));
  steps.Increment();
  rows.Increment(static_cast<double>(report.rows()));
  tokens.With({"useful"}).Increment(static_cast<double>(report.tokens()));
  tokens.With({"computed"})
      .Increment(static_cast<double>(report.computed_tokens()));
  if (report.skipped()) skipped_steps.Increment();
  step_seconds.Observe(report.seconds());
  weight_wait_seconds.Increment(report.weight_wait_seconds());
  exposed_communication_seconds.Increment(
      report.exposed_communication_seconds());
  tokens_per_second.Set(report.tokens_per_second());
  loss.Set(report.loss());
  grad_norm.Set(report.grad_norm());
  learning_rate.Set(report.learning_rate());
  if (report.has_weights()) weights.Observe(report.weights());
  if (report.has_preferences()) preferences.Observe(report.preferences());
}

}  // namespace varalign::worker
