#include "worker/metrics.h"

namespace varalign::worker {
namespace {

telemetry::Gauge& Gauge(telemetry::Registry& registry, const char* name,
                        const char* help) {
  return registry.AddGauge({name, help}).With({});
}

telemetry::Counter& Counter(telemetry::Registry& registry, const char* name,
                            const char* help) {
  return registry.AddCounter({name, help}).With({});
}

telemetry::Histogram& Seconds(telemetry::Registry& registry, const char* name,
                              const char* help) {
  return registry.AddHistogram({name, help}, telemetry::StepSecondsBuckets())
      .With({});
}

}  // namespace

SupervisorMetrics::SupervisorMetrics(telemetry::Registry& registry)
    : coordinator_connected(
          Gauge(registry, "varalign_coordinator_connected",
                "1 while the slot is registered with the coordinator.")),
      trainer_starts(Counter(registry, "varalign_trainer_starts_total",
                             "Training processes started by this slot.")),
      trainer_exits(registry.AddCounter(
          {"varalign_trainer_exits_total",
           "Training processes that ended, by how they did.",
           {{"reason", {"done", "stopped", "error", "signal"}}}})) {}

TrainerMetrics::TrainerMetrics(telemetry::Registry& registry)
    : step(Gauge(registry, "varalign_step", "Optimizer steps done.")),
      steps(Counter(registry, "varalign_steps_total",
                    "Optimizer steps done by this process.")),
      rows(Counter(registry, "varalign_rows_total",
                   "Rows of the steps, over all ranks.")),
      tokens(Counter(registry, "varalign_tokens_total",
                     "Tokens computed in the steps, over all ranks.")),
      skipped_steps(
          Counter(registry, "varalign_skipped_steps_total",
                  "Steps without an update: the gradient was not finite.")),
      step_seconds(Seconds(registry, "varalign_step_seconds",
                           "Wall time of a step, waits included.")),
      weight_wait_seconds(Counter(registry,
                                  "varalign_weight_wait_seconds_total",
                                  "Time that steps waited for their weights.")),
      tokens_per_second(
          Gauge(registry, "varalign_tokens_per_second",
                "Tokens of the last step over its wall time, all ranks.")),
      loss(
          Gauge(registry, "varalign_loss", "sum(w nll) / D of the last step.")),
      grad_norm(Gauge(registry, "varalign_grad_norm",
                      "Norm of the last step's gradient before clipping.")),
      learning_rate(Gauge(registry, "varalign_learning_rate",
                          "Learning rate of the last step.")),
      weight_ess_ratio(Gauge(registry, "varalign_weight_ess_ratio",
                             "Mean of ESS/|S| over the Z-sets of a step.")),
      weight_ess_norm(
          Gauge(registry, "varalign_weight_ess_norm",
                "Mean of (ESS-1)/(|S|-1) over Z-sets of two rows or more.")),
      weight_max(Gauge(registry, "varalign_weight_max",
                       "Mean over Z-sets of their largest weight.")),
      weight_mean(
          Gauge(registry, "varalign_weight_mean", "Mean weight of a row.")),
      weight_small_share(Gauge(registry, "varalign_weight_small_share",
                               "Share of rows with w < 1e-3.")),
      weight_clipped_share(Gauge(registry, "varalign_weight_clipped_share",
                                 "Share of rows bounded by weight_clip.")),
      weight_kl(Gauge(registry, "varalign_weight_kl",
                      "Mean over Z-sets of sum p log(K p), nats.")),
      weight_length_corr(
          Gauge(registry, "varalign_weight_length_corr",
                "Correlation of log w and token count within Z-sets.")),
      log_z_mean(
          Gauge(registry, "varalign_log_z_mean", "Mean log Z of the Z-sets.")),
      trivial_z_rows(Counter(registry, "varalign_trivial_z_rows_total",
                             "Rows that were their own Z-set.")),
      reward_mean(Gauge(registry, "varalign_reward_mean",
                        "Mean reward of the last step's Z-sets.")),
      weighted_reward_mean(Gauge(registry, "varalign_weighted_reward_mean",
                                 "Mean over Z-sets of sum p r.")),
      checkpoints(Counter(registry, "varalign_checkpoints_total",
                          "Checkpoints committed.")),
      checkpoint_seconds(Seconds(registry, "varalign_checkpoint_seconds",
                                 "Time from a step to the next one that a "
                                 "checkpoint took.")),
      reward_client_requests(registry.AddCounter(
          {"varalign_reward_client_requests_total",
           "Requests and Z-sets answered by reward servers, by status code.",
           {{"code", {"ok", "error", "retried"}}}})) {}

void TrainerMetrics::Observe(const v1::StepReport& report) {
  step.Set(static_cast<double>(report.step() + 1));
  steps.Increment();
  rows.Increment(static_cast<double>(report.rows()));
  tokens.Increment(static_cast<double>(report.tokens()));
  if (report.skipped()) skipped_steps.Increment();
  step_seconds.Observe(report.seconds());
  weight_wait_seconds.Increment(report.weight_wait_seconds());
  tokens_per_second.Set(report.tokens_per_second());
  loss.Set(report.loss());
  grad_norm.Set(report.grad_norm());
  learning_rate.Set(report.learning_rate());
  const v1::WeightStatistics& weights = report.weights();
  weight_ess_ratio.Set(weights.ess_ratio());
  weight_ess_norm.Set(weights.ess_norm());
  weight_max.Set(weights.max());
  weight_mean.Set(weights.mean());
  weight_small_share.Set(weights.small_share());
  weight_clipped_share.Set(weights.clipped_share());
  weight_kl.Set(weights.kl());
  weight_length_corr.Set(weights.length_correlation());
  log_z_mean.Set(weights.log_z_mean());
  trivial_z_rows.Increment(static_cast<double>(weights.trivial_rows()));
  reward_mean.Set(weights.reward_mean());
  weighted_reward_mean.Set(weights.weighted_reward_mean());
}

}  // namespace varalign::worker
