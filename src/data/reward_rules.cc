#include "data/reward_rules.h"

#include <re2/re2.h>

#include <cmath>
#include <utility>

#include "absl/strings/ascii.h"
#include "absl/strings/str_cat.h"
#include "base/string_view.h"

namespace varalign::data {
namespace {

std::string_view Bare(std::string_view text) {
  return base::ToStd(absl::StripAsciiWhitespace(base::ToAbsl(text)));
}

}  // namespace

absl::StatusOr<RewardRules> RewardRules::Create(
    const v1::RewardConfig& config) {
  RewardRules rules(config);
  const auto add = [&](bool is_set, const char* name, double weight) {
    if (is_set) rules.rules_.push_back({name, weight});
  };
  add(!config.column().name().empty(), "column", config.column().weight());
  add(!config.pattern().regex().empty(), "pattern", config.pattern().weight());
  add(config.length().weight() != 0, "length", config.length().weight());
  add(!config.exact_match().column().empty(), "exact_match",
      config.exact_match().weight());
  for (const Rule& rule : rules.rules_) {
    if (std::isfinite(rule.weight)) continue;
    return absl::InvalidArgumentError(absl::StrCat(
        "reward.", rule.name, ".weight: must be finite, got ", rule.weight));
  }
  if (config.pattern().regex().empty()) return rules;
  rules.pattern_ =
      std::make_shared<const RE2>(config.pattern().regex(), RE2::Quiet);
  if (rules.pattern_->ok()) return rules;
  return absl::InvalidArgumentError(
      absl::StrCat("reward.pattern.regex: not a regular expression of RE2: ",
                   rules.pattern_->error()));
}

std::vector<double> RewardRules::Values(const RuledResponse& response) const {
  const std::string_view text = Bare(response.text);
  std::vector<double> values;
  for (const Rule& rule : rules_) {
    if (rule.name == "column") {
      values.push_back(response.column);
    } else if (rule.name == "pattern") {
      const bool matches = RE2::PartialMatch(
          re2::StringPiece(text.data(), text.size()), *pattern_);
      values.push_back(matches ? 1 : 0);
    } else if (rule.name == "length") {
      values.push_back(static_cast<double>(response.num_tokens));
    } else {
      values.push_back(text == Bare(response.reference) ? 1 : 0);
    }
  }
  return values;
}

double RewardRules::WeightedSum(std::span<const double> values) const {
  double sum = 0;
  for (size_t i = 0; i < rules_.size(); ++i)
    sum += rules_[i].weight * values[i];
  return sum;
}

}  // namespace varalign::data
