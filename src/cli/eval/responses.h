// What a policy answers to the prompts of an evaluation, and its scores.
#ifndef VARALIGN_CLI_EVAL_RESPONSES_H_
#define VARALIGN_CLI_EVAL_RESPONSES_H_

#include <cstdint>
#include <filesystem>
#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "base/json.h"
#include "cli/eval/eval_models.h"

namespace varalign::cli {

struct EvalResponse {
  size_t prompt = 0;  // its row in the prompts
  std::string text;
  std::vector<uint32_t> ids;  // with the stop token
  double logprob_sum = 0;     // nats, temperature 1, no truncation
  bool stopped = false;       // else cut at the limit
  // None: the reward model cannot read the response (an empty one).
  std::optional<double> reward;
  std::optional<double> reference_logprob_sum;
};

// How the responses of an evaluation come about.
struct EvalPlan {
  std::vector<base::Json> prompts;  // of eval_prompts.h
  uint32_t num_responses = 1;       // for each prompt
  GenerateRequest sampling;         // without model, tasks, stop tokens
  std::filesystem::path out;        // empty: nothing is kept
  // Told what has been done of what; may be empty.
  std::function<void(const std::string& activity, size_t done, size_t total)>
      progress;
};

// num_responses for each prompt in turn. `name` ("model", "baseline") names the
// file responses-NAME.jsonl, of which rows of before are taken. Errors of
// RowStore::Open; InvalidArgument for a prompt that the model cannot read.
absl::StatusOr<std::vector<EvalResponse>> Respond(const EvalPlan& plan,
                                                  const std::string& name,
                                                  const std::string& model,
                                                  const EvalModels& models);

// Fills in `reward`, as `score --reward` scores a row of that text; ids are
// scored as they stand. Keeps rewards-NAME.jsonl.
absl::Status AddRewards(const EvalPlan& plan, const std::string& name,
                        const std::string& reward, const EvalModels& models,
                        std::vector<EvalResponse>& responses);

// Fills in `reference_logprob_sum`: of the very ids that `model` sampled.
// InvalidArgument unless both models read text alike. Keeps
// reference-NAME.jsonl.
absl::Status AddReference(const EvalPlan& plan, const std::string& name,
                          const std::string& model,
                          const std::string& reference,
                          const EvalModels& models,
                          std::vector<EvalResponse>& responses);

}  // namespace varalign::cli

#endif  // VARALIGN_CLI_EVAL_RESPONSES_H_
