// Families without labels, each of which is its one series:
//
//   steps(AddSingleCounter(registry, "varalign_steps_total", "Steps done."))
//
// REQUIRES: as for the Registry's own functions.
#ifndef VARALIGN_TELEMETRY_SINGLE_SERIES_H_
#define VARALIGN_TELEMETRY_SINGLE_SERIES_H_

#include <string>
#include <utility>
#include <vector>

#include "telemetry/metrics.h"

namespace varalign::telemetry {

inline Gauge& AddSingleGauge(Registry& registry, std::string name,
                             std::string help) {
  return registry.AddGauge({std::move(name), std::move(help)}).With({});
}

inline Counter& AddSingleCounter(Registry& registry, std::string name,
                                 std::string help) {
  return registry.AddCounter({std::move(name), std::move(help)}).With({});
}

inline Histogram& AddSingleHistogram(Registry& registry, std::string name,
                                     std::string help,
                                     std::vector<double> buckets) {
  return registry
      .AddHistogram({std::move(name), std::move(help)}, std::move(buckets))
      .With({});
}

}  // namespace varalign::telemetry

#endif  // VARALIGN_TELEMETRY_SINGLE_SERIES_H_
