// Rewards of `score` that come of rules, alone or beside a model's.
#ifndef VARALIGN_CLI_SCORE_RULES_H_
#define VARALIGN_CLI_SCORE_RULES_H_

#include <memory>

#include "absl/status/statusor.h"
#include "cli/score_row.h"
#include "data/kept_columns.h"
#include "data/reward_rules.h"
#include "varalign/v1/run_config.pb.h"

namespace varalign::cli {

// The columns of a row that `rules` read, for ReadKeptColumns.
data::KeptColumns ColumnsOf(const data::RewardRules& rules);

// Gives every response the sum of `model_weight` times the reward that
// `scorer` gives, and of the rules; each part is kept in RowScore::sources.
// `scorer` null: rules alone.
//   InvalidArgument   a row has ids only, and a rule reads text or columns
std::unique_ptr<RowScorer> AddRules(data::RewardRules rules,
                                    double model_weight,
                                    std::unique_ptr<RowScorer> scorer);

}  // namespace varalign::cli

#endif  // VARALIGN_CLI_SCORE_RULES_H_
