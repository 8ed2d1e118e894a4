#include "reward_server/metrics.h"

#include <vector>

#include "telemetry/single_series.h"

namespace varalign::reward_server {
namespace {

using telemetry::AddSingleCounter;
using telemetry::AddSingleGauge;
using telemetry::AddSingleHistogram;

std::vector<double> PowersOfTwo(int first, int last) {
  std::vector<double> bounds;
  for (int power = first; power <= last; ++power) {
    bounds.push_back(static_cast<double>(1 << power));
  }
  return bounds;
}

}  // namespace

Metrics::Metrics(telemetry::Registry& registry)
    : queue_tokens(AddSingleGauge(registry, "varalign_reward_queue_tokens",
                                  "Tokens admitted and not yet scored.")),
      queue_oldest_age(AddSingleGauge(
          registry, "varalign_reward_queue_oldest_age_seconds",
          "How long the oldest pair of the last batch waited for it.")),
      store_bytes(AddSingleGauge(registry, "varalign_reward_store_bytes",
                                 "Memory of the score store.")),
      open_streams(AddSingleGauge(registry, "varalign_reward_open_streams",
                                  "StreamWeights calls under way.")),
      admitted(AddSingleCounter(registry, "varalign_reward_admitted_total",
                                "Requests and groups that were let in.")),
      rejected(registry.AddCounter(
          {"varalign_reward_rejected_total",
           "Requests and groups that were refused or gave up.",
           {{"reason",
             {"no_room", "deadline", "draining", "cancelled", "failed"}}}})),
      store_hits(AddSingleCounter(registry, "varalign_reward_store_hits_total",
                                  "Scores taken from the store.")),
      store_misses(AddSingleCounter(registry,
                                    "varalign_reward_store_misses_total",
                                    "Scores that had to be computed.")),
      store_recalled(
          AddSingleCounter(registry, "varalign_reward_store_recalled_total",
                           "Scores read from the file of the store.")),
      store_file_errors(AddSingleCounter(
          registry, "varalign_reward_store_file_errors_total",
          "Reads and writes of the store's file that failed.")),
      joined(AddSingleCounter(
          registry, "varalign_reward_scores_joined_total",
          "Scores that another request was already waiting for.")),
      pairs_scored(registry.AddCounter({"varalign_reward_pairs_scored_total",
                                        "Pairs that a model was run on.",
                                        {{"model", {"reward", "reference"}}}})),
      batch_tokens(AddSingleHistogram(registry, "varalign_reward_batch_tokens",
                                      "Tokens of a batch.",
                                      PowersOfTwo(4, 17))),
      stage_seconds(registry.AddHistogram(
          {"varalign_reward_stage_seconds",
           "Time of a batch in each stage.",
           {{"stage", {"queue", "compute", "completion"}}}},
          telemetry::RpcSecondsBuckets())),
      ess_ratio(AddSingleHistogram(
          registry, "varalign_reward_ess_ratio",
          "Effective sample size of a Z-set over its size: (sum w)^2 / (|S| "
          "sum w^2).",
          {0.05, 0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 1.0})),
      call_seconds(registry) {}

}  // namespace varalign::reward_server
