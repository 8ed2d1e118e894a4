// What to tell a user whose weights do something else than the user expects:
// one code, what it means and what follows (docs/method.md, Warnings).
//
// Pure functions: any thread, never block.
#ifndef VARALIGN_OBJECTIVE_WEIGHT_WARNINGS_H_
#define VARALIGN_OBJECTIVE_WEIGHT_WARNINGS_H_

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "objective/weight_statistics.h"
#include "varalign/v1/run_config.pb.h"

namespace varalign::objective {

enum class Severity {
  kInfo,     // shown
  kWarning,  // shown; under objective.strict the run stops
};

struct Warning {
  Severity severity = Severity::kWarning;
  // low_ess, length_dominated, trivial_z, lambda_below_floor, prompt_offset or
  // reference_counted_twice.
  std::string code;
  std::string message;
};

// What is known of a run before step 0.
struct ZSetCounts {
  uint64_t rows = 0;
  uint64_t z_sets = 0;
  uint64_t trivial_z_rows = 0;      // rows of Z-sets with one row
  uint64_t rows_without_rival = 0;  // rows of examples with one response
  uint64_t paired_examples = 0;     // with a chosen and a rejected response
  std::optional<double> reward_sd =
      std::nullopt;  // s, in the reward's own unit
};

// Warnings at configuration time. REQUIRES: `rule` is resolved; its lambda may
// be in either unit.
std::vector<Warning> PlanWarnings(const v1::Objective& rule,
                                  const ZSetCounts& counts);

// FailedPrecondition if every Z-set has one row, so that all weights are 1,
// unless the objective asks for that (sft, z.allow_trivial); under kind dpo if
// no example has a pair.
absl::Status CheckZSets(const v1::Objective& rule, const ZSetCounts& counts);

// Warnings at run time, from the metrics of one step or more. length_dominated
// needs 64 rows: add steps up (WeightStatistics::Merge) where one has fewer.
std::vector<Warning> MetricWarnings(const v1::Objective& rule,
                                    const WeightMetrics& metrics);

}  // namespace varalign::objective

#endif  // VARALIGN_OBJECTIVE_WEIGHT_WARNINGS_H_
