// The two terms of a = alpha * l + r' / lambda for the rows of one Z-set:
// what `LogWeights` normalises and what the metric ref_share compares.
// Internal to `objective`.
#ifndef VARALIGN_OBJECTIVE_EXPONENT_H_
#define VARALIGN_OBJECTIVE_EXPONENT_H_

#include <cstdint>
#include <span>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "objective/log_weights.h"
#include "varalign/v1/run_config.pb.h"

namespace varalign::objective {

struct Exponent {
  std::vector<double> reference;  // [K] alpha * l; 0 where ref_logp is none
  std::vector<double> reward;     // [K] r' / lambda; 0 for the preset sft
  // What was taken from every `reward` alike: log_z adds it again.
  double shift = 0;
};

// InvalidArgument, DataLoss: as LogWeights has it.
absl::Status CheckScores(std::span<const Score> z_set);

// Order: validate, centre, clip, divide by lambda. REQUIRES and codes as for
// LogWeights.
absl::StatusOr<Exponent> ExponentOf(std::span<const Score> z_set,
                                    const v1::Objective& rule,
                                    std::span<const uint32_t> group);

}  // namespace varalign::objective

#endif  // VARALIGN_OBJECTIVE_EXPONENT_H_
