// The metric families of a worker: those of the supervisor and those of the
// trainer. docs/metrics.md is made from them.
#ifndef VARALIGN_WORKER_METRICS_H_
#define VARALIGN_WORKER_METRICS_H_

#include "telemetry/metrics.h"
#include "varalign/v1/coordinator.pb.h"

namespace varalign::worker {

// Of varalign-worker.
struct SupervisorMetrics {
  explicit SupervisorMetrics(telemetry::Registry& registry);

  telemetry::Gauge& coordinator_connected;
  telemetry::Counter& trainer_starts;
  telemetry::Family<telemetry::Counter>& trainer_exits;  // reason
};

// The weights of a step, of varalign-trainer.
struct StepWeightMetrics {
  explicit StepWeightMetrics(telemetry::Registry& registry);

  void Observe(const v1::WeightStatistics& step);

  telemetry::Gauge& ess_ratio;
  telemetry::Gauge& ess_norm;
  telemetry::Gauge& max;
  telemetry::Gauge& mean;
  telemetry::Gauge& small_share;
  telemetry::Gauge& clipped_share;
  telemetry::Gauge& kl;
  telemetry::Gauge& length_corr;
  telemetry::Gauge& reward_length_corr;
  telemetry::Gauge& ref_share;
  telemetry::Gauge& log_z_mean;
  telemetry::Counter& trivial_z_rows;
  telemetry::Gauge& reward_mean;
  telemetry::Gauge& weighted_reward_mean;
};

// The pairs of a step of kind dpo, of varalign-trainer.
struct StepPreferenceMetrics {
  explicit StepPreferenceMetrics(telemetry::Registry& registry);

  void Observe(const v1::PreferenceStatistics& step);

  telemetry::Gauge& accuracy;
  telemetry::Gauge& margin;
  telemetry::Gauge& chosen_reward;
  telemetry::Gauge& rejected_reward;
  telemetry::Gauge& chosen_logprob;
  telemetry::Gauge& rejected_logprob;
};

// Of varalign-trainer. Global numbers (loss, weights) are equal on all ranks.
struct TrainerMetrics {
  explicit TrainerMetrics(telemetry::Registry& registry);

  // After a step: `step` as it goes to the coordinator.
  void Observe(const v1::StepReport& step);

  telemetry::Gauge& step;
  telemetry::Counter& steps;
  telemetry::Counter& rows;
  telemetry::Family<telemetry::Counter>& tokens;  // kind
  telemetry::Counter& skipped_steps;
  telemetry::Histogram& step_seconds;
  telemetry::Counter& weight_wait_seconds;
  telemetry::Counter& exposed_communication_seconds;
  telemetry::Gauge& tokens_per_second;
  telemetry::Gauge& loss;
  telemetry::Gauge& grad_norm;
  telemetry::Gauge& learning_rate;
  StepWeightMetrics weights;
  StepPreferenceMetrics preferences;
  telemetry::Counter& checkpoints;
  telemetry::Histogram& checkpoint_seconds;
  telemetry::Family<telemetry::Counter>& reward_client_requests;  // result
  telemetry::Family<telemetry::Gauge>& reward_source_mean;        // source
};

}  // namespace varalign::worker

#endif  // VARALIGN_WORKER_METRICS_H_
