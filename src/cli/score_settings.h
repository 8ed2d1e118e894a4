// What decides the lines of `score`: work that was killed goes on only where
// all of it is the same.
#ifndef VARALIGN_CLI_SCORE_SETTINGS_H_
#define VARALIGN_CLI_SCORE_SETTINGS_H_

#include <string>
#include <vector>

#include "cli/score_row.h"
#include "varalign/v1/run_config.pb.h"

namespace varalign::cli {

// The rows as they are handed to a scorer, one after another.
using ScoreChunks = std::vector<std::vector<ScoreExample>>;

// For ResumableOutput::Open.
std::string SettingsOf(const ScorerOptions& models,
                       const v1::RewardConfig& rules, const std::string& format,
                       const ScoreChunks& chunks, const RowScorer& scorer);

}  // namespace varalign::cli

#endif  // VARALIGN_CLI_SCORE_SETTINGS_H_
