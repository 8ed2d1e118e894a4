// Short words for the tests of `objective`.
#ifndef VARALIGN_TESTS_OBJECTIVE_RULES_H_
#define VARALIGN_TESTS_OBJECTIVE_RULES_H_

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

#include "objective/log_weights.h"
#include "tests/testing/status_matchers.h"

namespace varalign::objective {

// A resolved rule with lambda 1 in the reward's own unit over one prompt.
inline v1::Objective Rule(v1::Objective::RefLogp ref_logp, double lambda = 1) {
  v1::Objective rule;
  rule.set_normalization(v1::Objective::NORMALIZATION_GROUP);
  rule.set_ref_logp(ref_logp);
  rule.set_lambda(lambda);
  rule.set_lambda_unit(v1::Objective::LAMBDA_UNIT_RAW);
  return ResolveObjective(rule).value();
}

// As Rule, for the rows of several prompts.
inline v1::Objective BatchRule(v1::Objective::RefLogp ref_logp,
                               double lambda = 1) {
  v1::Objective rule = Rule(ref_logp, lambda);
  rule.set_normalization(v1::Objective::NORMALIZATION_BATCH);
  return rule;
}

inline v1::Objective Preset(v1::Objective::Preset preset) {
  v1::Objective rule;
  rule.set_preset(preset);
  return ResolveObjective(rule).value();
}

inline std::vector<Score> Rewards(const std::vector<double>& rewards) {
  std::vector<Score> scores;
  for (const double r : rewards) scores.push_back({r, 0, 1});
  return scores;
}

inline std::vector<double> Exp(const std::vector<double>& logs) {
  std::vector<double> values;
  for (const double x : logs) values.push_back(std::exp(x));
  return values;
}

// REQUIRES: the scores are good.
inline std::vector<double> Weights(std::span<const Score> scores,
                                   const v1::Objective& rule,
                                   std::span<const uint32_t> group = {}) {
  return Exp(LogWeights(scores, rule, group).value().log_weights);
}

// Row k has its own prompt.
inline std::vector<uint32_t> OwnPrompts(size_t rows) {
  std::vector<uint32_t> group;
  for (size_t k = 0; k < rows; ++k) group.push_back(static_cast<uint32_t>(k));
  return group;
}

inline double Mean(const std::vector<double>& values) {
  double sum = 0;
  for (const double value : values) sum += value;
  return sum / static_cast<double>(values.size());
}

// Equal to the digits that docs/method.md prints.
MATCHER_P2(AllNear, expected, tolerance, "") {
  const std::vector<double> want = expected;
  if (arg.size() != want.size()) return false;
  for (size_t k = 0; k < want.size(); ++k) {
    if (std::abs(arg[k] - want[k]) > tolerance) {
      *result_listener << "differs at " << k << " by " << arg[k] - want[k];
      return false;
    }
  }
  return true;
}

using Vector = std::vector<double>;

}  // namespace varalign::objective

#endif  // VARALIGN_TESTS_OBJECTIVE_RULES_H_
