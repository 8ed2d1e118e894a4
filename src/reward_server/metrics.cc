#include "reward_server/metrics.h"

#include <vector>

namespace varalign::reward_server {
namespace {

std::vector<double> PowersOfTwo(int first, int last) {
  std::vector<double> bounds;
  for (int power = first; power <= last; ++power) {
    bounds.push_back(static_cast<double>(1 << power));
  }
  return bounds;
}

}  // namespace

Metrics::Metrics(telemetry::Registry& registry)
    : queue_tokens(registry
                       .AddGauge({"varalign_reward_queue_tokens",
                                  "Tokens admitted and not yet scored."})
                       .With({})),
      queue_oldest_age(
          registry
              .AddGauge({"varalign_reward_queue_oldest_age_seconds",
                         "How long the oldest pair of the last batch waited "
                         "for it."})
              .With({})),
      store_bytes(registry
                      .AddGauge({"varalign_reward_store_bytes",
                                 "Memory of the score store."})
                      .With({})),
      open_streams(registry
                       .AddGauge({"varalign_reward_open_streams",
                                  "StreamWeights calls under way."})
                       .With({})),
      admitted(registry
                   .AddCounter({"varalign_reward_admitted_total",
                                "Requests and groups that were let in."})
                   .With({})),
      rejected(registry.AddCounter(
          {"varalign_reward_rejected_total",
           "Requests and groups that were refused or gave up.",
           {{"reason",
             {"no_room", "deadline", "draining", "cancelled", "failed"}}}})),
      store_hits(registry
                     .AddCounter({"varalign_reward_store_hits_total",
                                  "Scores taken from the store."})
                     .With({})),
      store_misses(registry
                       .AddCounter({"varalign_reward_store_misses_total",
                                    "Scores that had to be computed."})
                       .With({})),
      joined(registry
                 .AddCounter({"varalign_reward_scores_joined_total",
                              "Scores that another request was already "
                              "waiting for."})
                 .With({})),
      pairs_scored(registry.AddCounter({"varalign_reward_pairs_scored_total",
                                        "Pairs that a model was run on.",
                                        {{"model", {"reward", "reference"}}}})),
      batch_tokens(registry
                       .AddHistogram({"varalign_reward_batch_tokens",
                                      "Tokens of a batch."},
                                     PowersOfTwo(4, 17))
                       .With({})),
      stage_seconds(registry.AddHistogram(
          {"varalign_reward_stage_seconds",
           "Time of a batch in each stage.",
           {{"stage", {"queue", "compute", "completion"}}}},
          telemetry::RpcSecondsBuckets())),
      ess_ratio(registry
                    .AddHistogram({"varalign_reward_ess_ratio",
                                   "Effective sample size of a Z-set over its "
                                   "size: (sum w)^2 / (|S| sum w^2)."},
                                  {0.05, 0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8,
                                   0.9, 1.0})
                    .With({})),
      call_seconds(
          registry.AddHistogram({"varalign_grpc_server_call_duration_seconds",
                                 "From the first byte of a call to its status.",
                                 {{"method", {}}, {"code", {}}}},
                                telemetry::RpcSecondsBuckets())) {}

}  // namespace varalign::reward_server
