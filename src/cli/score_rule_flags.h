// The flags of `score` for rewards that come of rules.
#ifndef VARALIGN_CLI_SCORE_RULE_FLAGS_H_
#define VARALIGN_CLI_SCORE_RULE_FLAGS_H_

#include <CLI/CLI.hpp>

#include "varalign/v1/run_config.pb.h"

namespace varalign::cli {

// Sets the defaults of `reward`, which outlives the parsing, and adds a flag
// for each of its keys but the model's path.
void AddRuleFlags(CLI::App& verb, v1::RewardConfig& reward);

}  // namespace varalign::cli

#endif  // VARALIGN_CLI_SCORE_RULE_FLAGS_H_
