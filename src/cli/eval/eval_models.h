// What `eval` asks of models, and who gives it. No libtorch here.
#ifndef VARALIGN_CLI_EVAL_EVAL_MODELS_H_
#define VARALIGN_CLI_EVAL_EVAL_MODELS_H_

#include <functional>
#include <memory>
#include <string>

#include "absl/status/statusor.h"
#include "cli/generate_verb.h"
#include "cli/score_row.h"

namespace varalign::cli {

struct EvalModels {
  std::function<absl::StatusOr<std::unique_ptr<TextGenerator>>(
      const std::string& model)>
      load_generator;
  LoadScorer load_scorer;
  // Identity of what is in a model directory.
  std::function<absl::StatusOr<std::string>(const std::string& model)>
      fingerprint;
};

}  // namespace varalign::cli

#endif  // VARALIGN_CLI_EVAL_EVAL_MODELS_H_
