// Every metric of the reward server.
#ifndef VARALIGN_REWARD_SERVER_METRICS_H_
#define VARALIGN_REWARD_SERVER_METRICS_H_

#include "telemetry/call_seconds.h"
#include "telemetry/metrics.h"

namespace varalign::reward_server {

// Thread safe. `registry` outlives it.
struct Metrics {
  explicit Metrics(telemetry::Registry& registry);

  telemetry::Gauge& queue_tokens;
  telemetry::Gauge& queue_oldest_age;
  telemetry::Gauge& store_bytes;
  telemetry::Gauge& open_streams;
  telemetry::Counter& admitted;
  telemetry::Family<telemetry::Counter>& rejected;
  telemetry::Counter& store_hits;
  telemetry::Counter& store_misses;
  telemetry::Counter& store_recalled;
  telemetry::Counter& store_file_errors;
  telemetry::Counter& joined;
  telemetry::Family<telemetry::Counter>& pairs_scored;
  telemetry::Histogram& batch_tokens;
  telemetry::Family<telemetry::Histogram>& stage_seconds;
  telemetry::Histogram& ess_ratio;
  telemetry::CallSeconds call_seconds;
};

}  // namespace varalign::reward_server

#endif  // VARALIGN_REWARD_SERVER_METRICS_H_
