// Where a model directory is, for those who name one on a command line.
#ifndef VARALIGN_CLI_MODEL_PLACE_H_
#define VARALIGN_CLI_MODEL_PLACE_H_

#include <filesystem>
#include <string>

#include "absl/status/status.h"

namespace varalign::cli {

// NotFound (66) unless `directory` is one that holds a config.json or a
// tokenizer.json: "OPTION: no model directory ...", with the one that was
// probably meant.
absl::Status CheckModelDirectory(const std::string& option,
                                 const std::filesystem::path& directory);

// "; did you mean RUN/model?", or nothing: a model that lies in a directory
// without one (a run's, a cache's), or a neighbour of one that does not exist
// with nearly its name.
std::string NearbyModel(const std::filesystem::path& directory);

}  // namespace varalign::cli

#endif  // VARALIGN_CLI_MODEL_PLACE_H_
