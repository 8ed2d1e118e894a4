// Prints docs/metrics.md from the families that the programs declare:
//
//   metrics_reference > docs/metrics.md
//
// A test compares the two, and another scrapes a run with Prometheus and
// expects just these series.
#include <cstdio>
#include <string>

#include "coordinator/metric_families.h"
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

constexpr char kIntroduction[] =
    "# Metrics\n\n"
    "<!-- Made by tools/metrics_reference; do not edit. -->\n\n"
    "Every process serves these at `/metrics` (Prometheus text format) and "
    "its\n"
    "health at `/healthz`, on loopback, at the port of `--metrics`. Series "
    "start\n"
    "at 0. Units are base units; ratios lie in [0, 1].\n";

std::string Reference() {
  return std::string(kIntroduction) +
         Section<coordinator::MetricFamilies>("varalign-coordinator",
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
