// What the handlers of all methods share.
#ifndef VARALIGN_REWARD_SERVER_SERVICE_CONTEXT_H_
#define VARALIGN_REWARD_SERVER_SERVICE_CONTEXT_H_

#include <cstdint>
#include <string>

#include "base/clock.h"
#include "reward_server/limits.h"
#include "reward_server/metrics.h"
#include "reward_server/scheduler.h"
#include "reward_server/scorer.h"

namespace varalign::reward_server {

// Constant after construction; what it refers to is thread safe and outlives
// the services.
struct ServiceContext {
  ServedModels models;
  std::string fingerprint;  // ServerFingerprint(models)
  RequestLimits limits;
  uint64_t max_inflight_tokens = 0;
  uint64_t token_credit = 0;  // of one stream
  uint32_t max_streams = 0;   // StreamWeights calls at a time
  const base::Clock& clock;
  Scheduler& scheduler;
  Metrics& metrics;
};

}  // namespace varalign::reward_server

#endif  // VARALIGN_REWARD_SERVER_SERVICE_CONTEXT_H_
