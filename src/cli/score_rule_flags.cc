#include "cli/score_rule_flags.h"

#include <string>

namespace varalign::cli {

void AddRuleFlags(CLI::App& verb, v1::RewardConfig& reward) {
  reward.set_weight(1);
  const auto weight = [&verb](const char* flag, auto set, const char* help) {
    verb.add_option_function<double>(flag, set, help);
  };
  const auto text = [&verb](const char* flag, auto set, const char* help) {
    verb.add_option_function<std::string>(flag, set, help);
  };
  // Several sources add up, as in the section reward of a run.
  reward.mutable_pattern()->set_weight(1);
  reward.mutable_column()->set_weight(1);
  reward.mutable_exact_match()->set_weight(1);
  text(
      "--pattern",
      [&reward](const std::string& regex) {
        reward.mutable_pattern()->set_regex(regex);
      },
      "reward: 1 where this regular expression (RE2) matches, else 0");
  weight(
      "--pattern-weight",
      [&reward](double w) { reward.mutable_pattern()->set_weight(w); },
      "default 1");
  weight(
      "--length-weight",
      [&reward](double w) { reward.mutable_length()->set_weight(w); },
      "reward per token of the response; below 0 a penalty");
  text(
      "--column",
      [&reward](const std::string& name) {
        reward.mutable_column()->set_name(name);
      },
      "reward: a number column of the rows");
  weight(
      "--column-weight",
      [&reward](double w) { reward.mutable_column()->set_weight(w); },
      "default 1");
  text(
      "--exact-match",
      [&reward](const std::string& name) {
        reward.mutable_exact_match()->set_column(name);
      },
      "reward: 1 where the response equals this text column, else 0");
  weight(
      "--exact-match-weight",
      [&reward](double w) { reward.mutable_exact_match()->set_weight(w); },
      "default 1");
  weight(
      "--reward-weight", [&reward](double w) { reward.set_weight(w); },
      "of the reward model beside such rules (default 1)");
}

}  // namespace varalign::cli
