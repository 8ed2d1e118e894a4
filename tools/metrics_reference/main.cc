// Prints docs/metrics.md from the families that the programs declare:
//
//   metrics_reference > docs/metrics.md
//
// A test compares the two, and another scrapes a run with Prometheus and
// expects just these series.
#include <cstdio>
#include <string>

#include "coordinator/metrics.h"
#include "reward_server/metrics.h"
#include "telemetry/metrics.h"
#include "worker/metrics.h"

namespace varalign {
namespace {

template <typename Families>
std::string Section(const char* title, const char* text, const char* role) {
  telemetry::Registry registry(role);
  const Families families(registry);
  return std::string("\n## ") + title + "\n\n" + text + "\n\n" +
         telemetry::FamiliesAsMarkdown(registry.Families());
}

constexpr char kIntroduction[] = R"(# Metrics

<!-- Made by tools/metrics_reference; do not edit. -->

Every process serves these at `/metrics` (Prometheus text format) and its
health at `/healthz`, on loopback, at the port of `--metrics`. Series start
at 0. Units are base units; ratios lie in [0, 1].

Programs that see the same steps have the same families: the coordinator of
the steps that were reported to it, each rank of those that it did. Sum over
one role: `varalign_build_info` and the targets of
`deploy/prometheus/prometheus.yml` have it as a label, as in
`sum(varalign_steps_total{role="coordinator"})`.

## Alerts

`deploy/prometheus/alerts.yml` has rules to begin with.

| alert | sign | what to do |
|---|---|---|
| `VaralignNoStep` | a run is RUNNING and no step was reported for 15 minutes | `varalign watch RUN` says what it does; the log of rank 0 |
| `VaralignCoordinatorDown` | nobody answers; it ends with 74 when its database cannot be written | free space, start it again: workers come back by themselves |
| `VaralignRewardsRejected` | more than one request in ten is refused or given up | more replicas, or a larger `--max-inflight-tokens` |
| `VaralignStepsSkipped` | a gradient was not finite | a smaller `train.learning_rate`; three in a row end the run |
)";

std::string Reference() {
  return std::string(kIntroduction) +
         Section<coordinator::Metrics>("varalign-coordinator",
                                       "Runs, steps and workers.",
                                       "coordinator") +
         Section<reward_server::Metrics>("varalign-reward-server", "Scoring.",
                                         "reward_server") +
         Section<worker::SupervisorMetrics>("varalign-worker",
                                            "A slot of the pool.", "worker") +
         Section<worker::TrainerMetrics>("varalign-trainer",
                                         "One rank, while it runs.", "trainer");
}

}  // namespace
}  // namespace varalign

int main() { std::fputs(varalign::Reference().c_str(), stdout); }
