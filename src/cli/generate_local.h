// Generates with a model in this process; links libtorch.
#ifndef VARALIGN_CLI_GENERATE_LOCAL_H_
#define VARALIGN_CLI_GENERATE_LOCAL_H_

#include <memory>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "cli/generate_verb.h"

namespace varalign::cli {

// NotFound, InvalidArgument: a directory that is no language model; the message
// begins with it.
absl::StatusOr<std::unique_ptr<TextGenerator>> LoadLocalGenerator(
    const std::string& model);

// As LoadLocalGenerator; others as model/generate.h.
absl::StatusOr<std::vector<GeneratedText>> GenerateLocally(
    const GenerateRequest& request);

}  // namespace varalign::cli

#endif  // VARALIGN_CLI_GENERATE_LOCAL_H_
