#include "telemetry/process_collector.h"

#include "telemetry/process_stats.h"

namespace varalign::telemetry {
namespace {

// Names as every Prometheus client library has them.
constexpr struct {
  const char* name;
  const char* help;
  MetricType type;
  double ProcessStats::* value;
} kFamilies[] = {
    {"process_cpu_seconds_total", "User and system CPU time.",
     MetricType::kCounter, &ProcessStats::cpu_seconds},
    {"process_max_fds", "Limit of open file descriptors.", MetricType::kGauge,
     &ProcessStats::max_fds},
    {"process_open_fds", "Open file descriptors.", MetricType::kGauge,
     &ProcessStats::open_fds},
    {"process_resident_memory_bytes", "Resident memory.", MetricType::kGauge,
     &ProcessStats::resident_bytes},
    {"process_start_time_seconds", "Start, since the Unix epoch.",
     MetricType::kGauge, &ProcessStats::start_time_seconds},
    {"process_threads", "Threads.", MetricType::kGauge, &ProcessStats::threads},
    {"process_virtual_memory_bytes", "Virtual memory.", MetricType::kGauge,
     &ProcessStats::virtual_bytes},
};

}  // namespace

std::vector<FamilyDescription> ProcessCollector::Families() const {
  std::vector<FamilyDescription> families;
  for (const auto& each : kFamilies) {
    families.push_back({{each.name, each.help}, each.type});
  }
  return families;
}

std::vector<prometheus::MetricFamily> ProcessCollector::Collect() const {
  const ProcessStats stats = ReadProcessStats();
  std::vector<prometheus::MetricFamily> families;
  for (const auto& each : kFamilies) {
    prometheus::ClientMetric metric;
    prometheus::MetricFamily family;
    family.name = each.name;
    family.help = each.help;
    if (each.type == MetricType::kCounter) {
      family.type = prometheus::MetricType::Counter;
      metric.counter.value = stats.*each.value;
    } else {
      family.type = prometheus::MetricType::Gauge;
      metric.gauge.value = stats.*each.value;
    }
    family.metric.push_back(metric);
    families.push_back(family);
  }
  return families;
}

}  // namespace varalign::telemetry
