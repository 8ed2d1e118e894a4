#include "telemetry/metrics.h"

#include <algorithm>
#include <functional>
#include <set>
#include <type_traits>
#include <utility>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "base/require.h"
#include "base/string_view.h"
#include "base/version.h"
#include "prometheus/check_names.h"
#include "prometheus/text_serializer.h"
#include "telemetry/process_collector.h"

namespace varalign::telemetry {
namespace {

void Require(bool condition, const FamilySpec& spec, std::string_view what) {
  if (condition) return;
  base::Crash(absl::StrCat("metric ", spec.name, ": ", base::ToAbsl(what)));
}

void CheckDescription(const FamilyDescription& description) {
  const FamilySpec& spec = description.spec;
  const std::vector<double>& buckets = description.buckets;
  Require(prometheus::CheckMetricName(spec.name), spec, "not a valid name");
  Require(!spec.help.empty(), spec, "has no help text");
  Require(absl::EndsWith(spec.name, "_total") ==
              (description.type == MetricType::kCounter),
          spec, "counters, and only they, end in _total");
  Require(std::adjacent_find(buckets.begin(), buckets.end(),
                             std::greater_equal<>()) == buckets.end(),
          spec, "buckets must ascend");
  std::set<std::string> names;
  for (const Label& label : spec.labels) {
    Require(prometheus::CheckLabelName(label.name), spec,
            "has a label without a valid name");
    Require(names.insert(label.name).second, spec, "has a label twice");
  }
}

// All label sets whose values are known: the product over the labels, or none
// if the values of one are not known yet.
std::vector<prometheus::Labels> KnownSeries(const FamilySpec& spec) {
  std::vector<prometheus::Labels> all = {{}};
  for (const Label& label : spec.labels) {
    std::vector<prometheus::Labels> longer;
    for (const prometheus::Labels& series : all) {
      for (const std::string& value : label.values) {
        longer.push_back(series);
        longer.back()[label.name] = value;
      }
    }
    all = std::move(longer);
  }
  return all;
}

template <typename Metric>
prometheus::Family<Metric>& Build(const FamilySpec& spec,
                                  prometheus::Registry& registry) {
  return prometheus::detail::Builder<Metric>()
      .Name(spec.name)
      .Help(spec.help)
      .Register(registry);
}

}  // namespace

std::vector<double> StepSecondsBuckets() {
  return {0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1,   2.5,
          5,    10,    20,   40,  80,   150, 300, 600};
}

std::vector<double> RpcSecondsBuckets() {
  return {0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25,
          0.5,   1,      2.5,   5,    10,    20,   40,  60};
}

template <typename Metric>
Family<Metric>::Family(FamilyDescription description,
                       prometheus::Family<Metric>& series)
    : description_(std::move(description)), series_(series) {
  for (const prometheus::Labels& labels : KnownSeries(description_.spec)) {
    Add(labels);
  }
}

template <typename Metric>
prometheus::Labels Family<Metric>::LabelsOf(
    std::initializer_list<std::string_view> values) const {
  const std::vector<Label>& declared = description_.spec.labels;
  Require(values.size() == declared.size(), description_.spec,
          "used with another number of labels than declared");
  prometheus::Labels labels;
  auto label = declared.begin();
  for (const std::string_view value : values) {
    labels[(label++)->name] = std::string(value);
  }
  return labels;
}

template <typename Metric>
Metric& Family<Metric>::Add(const prometheus::Labels& labels) {
  if constexpr (std::is_same_v<Metric, Histogram>) {
    return series_.Add(labels, description_.buckets);
  } else {
    return series_.Add(labels);
  }
}

template <typename Metric>
Metric& Family<Metric>::With(std::initializer_list<std::string_view> values) {
  return Add(LabelsOf(values));
}

template class Family<Counter>;
template class Family<Gauge>;
template class Family<Histogram>;

Registry::Registry(std::string_view role)
    : process_(std::make_unique<ProcessCollector>()) {
  for (const FamilyDescription& each : process_->Families()) Declare(each);
  AddGauge({"varalign_build_info",
            "Always 1; which build of which program this is.",
            {{"version", {base::kVersion}},
             {"protocol", {absl::StrCat(base::kProtocol)}},
             {"role", {std::string(role)}}}})
      .With({base::kVersion, absl::StrCat(base::kProtocol), role})
      .Set(1);
}

Registry::~Registry() = default;

void Registry::Declare(const FamilyDescription& description) {
  absl::MutexLock lock(&mutex_);
  const bool is_new =
      descriptions_.emplace(description.spec.name, description).second;
  Require(is_new, description.spec, "declared twice");
}

template <typename Metric>
Family<Metric>& Registry::AddFamily(FamilyDescription description,
                                    FamilyList<Metric>& families) {
  CheckDescription(description);
  Declare(description);
  auto& series = Build<Metric>(description.spec, registry_);
  families.emplace_back(new Family<Metric>(std::move(description), series));
  return *families.back();
}

Family<Counter>& Registry::AddCounter(FamilySpec spec) {
  return AddFamily({std::move(spec), MetricType::kCounter}, counters_);
}

Family<Gauge>& Registry::AddGauge(FamilySpec spec) {
  return AddFamily({std::move(spec), MetricType::kGauge}, gauges_);
}

Family<Histogram>& Registry::AddHistogram(FamilySpec spec,
                                          std::vector<double> buckets) {
  return AddFamily(
      {std::move(spec), MetricType::kHistogram, std::move(buckets)},
      histograms_);
}

std::string Registry::Exposition() const {
  std::vector<prometheus::MetricFamily> families = registry_.Collect();
  for (auto& family : process_->Collect()) families.push_back(family);
  // A family that has no series yet would be a header without samples.
  std::erase_if(families,
                [](const auto& family) { return family.metric.empty(); });
  std::sort(families.begin(), families.end(),
            [](const auto& a, const auto& b) { return a.name < b.name; });
  return prometheus::TextSerializer().Serialize(families);
}

std::vector<FamilyDescription> Registry::Families() const {
  absl::MutexLock lock(&mutex_);
  std::vector<FamilyDescription> families;
  for (const auto& [name, description] : descriptions_) {
    families.push_back(description);
  }
  return families;
}

}  // namespace varalign::telemetry
