// The patterns by which a run names the parameters that it leaves as they are
// (model/freeze.h).
#ifndef VARALIGN_MODEL_FREEZE_PATTERNS_H_
#define VARALIGN_MODEL_FREEZE_PATTERNS_H_

#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "model/model_config.h"

namespace varalign::model {

// The patterns of a list that separates them by commas, without the spaces
// around them.
std::vector<std::string> SplitPatterns(const std::string& list);

// Does a Hugging Face name match, as file names in a shell do?
bool MatchesPattern(const std::string& pattern, const std::string& name);

// How many blocks, from the embedding on and then layer by layer, the patterns
// freeze whole: a pass keeps nothing of these for its way back. All but the
// head's at most.
int64_t FrozenBlocks(const ModelConfig& config,
                     std::span<const std::string> patterns);

}  // namespace varalign::model

#endif  // VARALIGN_MODEL_FREEZE_PATTERNS_H_
