// `generate`: what a model writes. The verb itself is without libtorch.
#ifndef VARALIGN_CLI_GENERATE_VERB_H_
#define VARALIGN_CLI_GENERATE_VERB_H_

#include <cstdint>
#include <functional>
#include <span>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "base/progress.h"
#include "cli/verb.h"

namespace varalign::cli {

// One response to one prompt.
struct GenerateTask {
  std::vector<uint32_t> prompt;
  uint64_t stream = 0;  // of random numbers
};

struct GeneratedText {
  std::vector<uint32_t> ids;
  double logprob_sum = 0;
  std::string finish_reason;  // "stop" or "length"
};

struct GenerateRequest {
  std::string model;
  std::vector<GenerateTask> tasks;
  std::vector<uint32_t> stop_tokens;
  uint32_t max_new_tokens = 256;
  double temperature = 1;
  double top_p = 1;
  uint32_t top_k = 0;
  uint64_t seed = 0;
  std::function<void(size_t task, uint32_t token)> sink;  // may be empty
  // Where it is set, it takes the results, `tasks_at_once` after one another,
  // in place of the caller; an error ends the work.
  std::function<absl::Status(std::span<const GeneratedText> texts)> take;
  size_t tasks_at_once = 0;  // of `take`, at least 1
};

// A model in memory that writes. Not thread safe.
class TextGenerator {
 public:
  virtual ~TextGenerator() = default;

  // In the order of the tasks, whatever the model that `request` names.
  virtual absl::StatusOr<std::vector<GeneratedText>> Generate(
      const GenerateRequest& request) = 0;
};

// Loads the model and generates, in the order of the tasks.
using GenerateModel = std::function<absl::StatusOr<std::vector<GeneratedText>>(
    const GenerateRequest& request)>;

// `generate` is null in the client, which shows the help only.
void AddGenerateVerb(CLI::App& app, Action& action,
                     GenerateModel generate = nullptr,
                     base::ProgressScreen screen = base::ProgressScreen::kNone);

}  // namespace varalign::cli

#endif  // VARALIGN_CLI_GENERATE_VERB_H_
