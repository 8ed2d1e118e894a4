// Prometheus metrics of one program. Every family is declared in one place, at
// start, with all label values that are known then, so that each series exists
// from the first scrape and starts at 0:
//
//   struct SupervisorMetrics {                 // worker/metrics.h
//     explicit SupervisorMetrics(telemetry::Registry& registry)
//         : trainer_starts(AddSingleCounter(
//               registry, "varalign_trainer_starts_total",
//               "Training processes started by this slot.")),
//           trainer_exits(registry.AddCounter(
//               {"varalign_trainer_exits_total",
//                "Training processes that ended, by how they did.",
//                {{"reason", {"done", "stopped", "error", "signal"}}}})) {}
//     telemetry::Counter& trainer_starts;
//     telemetry::Family<telemetry::Counter>& trainer_exits;
//   };
//   metrics.trainer_starts.Increment();
//   metrics.trainer_exits.With({"done"}).Increment();
//
// Names are varalign_<thing>_<unit>, base units, _total on counters, ratios in
// [0, 1]. Labels are bounded words (state, phase, reason, rank, run): never row
// ids, paths or users.
#ifndef VARALIGN_TELEMETRY_METRICS_H_
#define VARALIGN_TELEMETRY_METRICS_H_

#include <initializer_list>
#include <map>
#include <memory>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/status/status.h"
#include "absl/synchronization/mutex.h"
#include "prometheus/counter.h"
#include "prometheus/family.h"
#include "prometheus/gauge.h"
#include "prometheus/histogram.h"
#include "prometheus/registry.h"

namespace varalign::telemetry {

using Counter = prometheus::Counter;      // Increment(), Increment(x), Value()
using Gauge = prometheus::Gauge;          // Set(x), Increment(), Value()
using Histogram = prometheus::Histogram;  // Observe(x)

class ProcessCollector;

enum class MetricType { kCounter, kGauge, kHistogram };

struct Label {
  std::string name;
  // All values, where they are known at start; empty where they are not (run,
  // rank): series of such a family appear with their first With().
  std::vector<std::string> values = {};
};

struct FamilySpec {
  std::string name;
  std::string help;  // a sentence, with the formula where there is one
  std::vector<Label> labels = {};
};

// What a family is, for docs/metrics.md.
struct FamilyDescription {
  FamilySpec spec;
  MetricType type = MetricType::kCounter;
  std::vector<double> buckets = {};  // upper bounds, histograms only
};

// Upper bounds of histogram buckets, in seconds.
std::vector<double> StepSecondsBuckets();  // 10 ms to 10 min
std::vector<double> RpcSecondsBuckets();   // 1 ms to 60 s

// The series of one name. Thread safe.
template <typename Metric>
class Family {
 public:
  // The series with these label values, in the order of the declaration; made
  // at 0 if it is new. REQUIRES: as many values as labels. Costs a hash and an
  // allocation: keep the reference in hot paths. It is valid as long as this.
  Metric& With(std::initializer_list<std::string_view> values);

 private:
  friend class Registry;
  Family(FamilyDescription description, prometheus::Family<Metric>& series);

  prometheus::Labels LabelsOf(
      std::initializer_list<std::string_view> values) const;
  Metric& Add(const prometheus::Labels& labels);

  const FamilyDescription description_;
  prometheus::Family<Metric>& series_;
};

// Owned by main; outlives everything that counts. Thread safe, but families are
// declared before the endpoint starts.
class Registry {
 public:
  // `role` is the program: "coordinator", "reward_server", "trainer". Declares
  // varalign_build_info{version,protocol,role} = 1 and, read from procfs at
  // each scrape, process_cpu_seconds_total, process_resident_memory_bytes,
  // process_virtual_memory_bytes, process_open_fds, process_max_fds,
  // process_threads and process_start_time_seconds.
  explicit Registry(std::string_view role);
  Registry(const Registry&) = delete;
  Registry& operator=(const Registry&) = delete;
  ~Registry();

  // REQUIRES (the process ends with the name otherwise): a new and valid name,
  // "_total" on counters and only there, a help text, ascending buckets.
  Family<Counter>& AddCounter(FamilySpec spec);
  Family<Gauge>& AddGauge(FamilySpec spec);
  Family<Histogram>& AddHistogram(FamilySpec spec, std::vector<double> buckets);

  // The text exposition format, version 0.0.4.
  std::string Exposition() const;

  // All families by name, those of the process included.
  std::vector<FamilyDescription> Families() const;

 private:
  template <typename Metric>
  using FamilyList = std::vector<std::unique_ptr<Family<Metric>>>;

  template <typename Metric>
  Family<Metric>& AddFamily(FamilyDescription description,
                            FamilyList<Metric>& families);
  void Declare(const FamilyDescription& description)
      ABSL_LOCKS_EXCLUDED(mutex_);

  prometheus::Registry registry_;  // synchronises itself
  const std::unique_ptr<ProcessCollector> process_;

  mutable absl::Mutex mutex_;
  std::map<std::string, FamilyDescription> descriptions_
      ABSL_GUARDED_BY(mutex_);
  FamilyList<Counter> counters_;  // filled before threads start
  FamilyList<Gauge> gauges_;
  FamilyList<Histogram> histograms_;
};

// Rows of a Markdown table "| name | type | labels | meaning |", one a family,
// in the order given: what docs/metrics.md holds and its test compares.
std::string FamiliesAsMarkdown(const std::vector<FamilyDescription>& families);

}  // namespace varalign::telemetry

#endif  // VARALIGN_TELEMETRY_METRICS_H_
