// The coordinator's Prometheus families, all declared here.
#ifndef VARALIGN_COORDINATOR_METRICS_H_
#define VARALIGN_COORDINATOR_METRICS_H_

#include <cstddef>
#include <cstdint>
#include <map>

#include "coordinator/changes.h"
#include "rpc/grpc_server.h"
#include "telemetry/call_seconds.h"
#include "telemetry/metrics.h"

namespace varalign::coordinator {

// Thread safe; never blocks. Learning gauges are those of the active run, or of
// the last one.
class Metrics {
 public:
  // Registry of the process, which outlives this object; runs of before, by
  // state.
  explicit Metrics(telemetry::Registry& registry,
                   const std::map<v1::RunState, uint64_t>& runs = {});

  // After they became durable.
  void Observe(const Changes& changes);
  void SetWorkers(size_t idle, size_t busy);
  void ObserveCall(const rpc::CallRecord& call);

 private:
  void ObserveRun(const v1::Run& run);
  void ObserveEvent(const v1::RunEvent& event);
  void ObserveStep(const v1::StepReport& step);

  telemetry::Family<telemetry::Gauge>& run_state_;
  telemetry::Family<telemetry::Gauge>& workers_;
  telemetry::Gauge& step_;
  telemetry::Gauge& last_step_timestamp_;
  telemetry::Gauge& generation_;
  telemetry::Gauge& loss_;
  telemetry::Gauge& grad_norm_;
  telemetry::Gauge& learning_rate_;
  telemetry::Gauge& weight_ess_ratio_;
  telemetry::Gauge& checkpoint_timestamp_;
  telemetry::Counter& steps_;
  telemetry::Counter& skipped_steps_;
  telemetry::Counter& rows_;
  telemetry::Family<telemetry::Counter>& tokens_;  // kind
  telemetry::CallSeconds calls_;
};

}  // namespace varalign::coordinator

#endif  // VARALIGN_COORDINATOR_METRICS_H_
