#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "absl/strings/str_replace.h"
#include "telemetry/metrics.h"

namespace varalign::telemetry {
namespace {

const char* TypeName(MetricType type) {
  switch (type) {
    case MetricType::kCounter:
      return "counter";
    case MetricType::kGauge:
      return "gauge";
    case MetricType::kHistogram:
      return "histogram";
  }
  return "";
}

// "state: queued, running", or "run" where the values are not known at start.
std::string LabelText(const Label& label) {
  if (label.values.empty()) return absl::StrCat("`", label.name, "`");
  return absl::StrCat("`", label.name,
                      "`: ", absl::StrJoin(label.values, ", "));
}

std::string Row(const FamilyDescription& family) {
  const std::string labels = absl::StrJoin(
      family.spec.labels, "; ", [](std::string* out, const Label& label) {
        absl::StrAppend(out, LabelText(label));
      });
  // A bar would end the cell.
  return absl::StrCat("| `", family.spec.name, "` | ", TypeName(family.type),
                      " | ", absl::StrReplaceAll(labels, {{"|", "\\|"}}), " | ",
                      absl::StrReplaceAll(family.spec.help, {{"|", "\\|"}}),
                      " |\n");
}

}  // namespace

std::string FamiliesAsMarkdown(const std::vector<FamilyDescription>& families) {
  std::string rows = "| name | type | labels | meaning |\n|---|---|---|---|\n";
  for (const FamilyDescription& each : families)
    absl::StrAppend(&rows, Row(each));
  return rows;
}

}  // namespace varalign::telemetry
