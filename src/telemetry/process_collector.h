// The process_* families, read at each scrape; prometheus-cpp has none.
#ifndef VARALIGN_TELEMETRY_PROCESS_COLLECTOR_H_
#define VARALIGN_TELEMETRY_PROCESS_COLLECTOR_H_

#include <vector>

#include "prometheus/collectable.h"
#include "prometheus/metric_family.h"
#include "telemetry/metrics.h"

namespace varalign::telemetry {

// Stateless, hence thread safe.
class ProcessCollector final : public prometheus::Collectable {
 public:
  std::vector<FamilyDescription> Families() const;
  std::vector<prometheus::MetricFamily> Collect() const override;
};

}  // namespace varalign::telemetry

#endif  // VARALIGN_TELEMETRY_PROCESS_COLLECTOR_H_
