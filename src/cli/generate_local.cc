#include "cli/generate_local.h"

#include <algorithm>
#include <span>
#include <utility>

#include "absl/strings/str_cat.h"
#include "base/exception_boundary.h"
#include "base/exit_code.h"
#include "base/status_macros.h"
#include "checkpoint/model_directory.h"
#include "model/generate.h"

namespace varalign::cli {
namespace {

absl::StatusOr<model::Parameters> LoadModel(const std::string& path) {
  ASSIGN_OR_RETURN(const model::ModelConfig config,
                   model::ReadModelConfig(path));
  ASSIGN_OR_RETURN(const checkpoint::ModelTensors tensors,
                   checkpoint::ModelTensors::Open(path));
  return model::ParametersOf(config, tensors.tensors(), at::kFloat);
}

absl::StatusOr<std::vector<GeneratedText>> Answer(
    const model::Parameters& parameters, std::span<const GenerateTask> tasks,
    const model::GenerateOptions& options, const model::TokenSink& sink) {
  std::vector<model::GenerationPrompt> prompts;
  for (const GenerateTask& task : tasks) {
    prompts.push_back({task.prompt, task.stream});
  }
  absl::StatusOr<std::vector<model::Generation>> results =
      model::Generate(parameters, prompts, options, sink);
  if (absl::IsOutOfRange(results.status())) {
    return base::WithExitCode(results.status(), base::kExitBadData);
  }
  RETURN_IF_ERROR(results.status());
  std::vector<GeneratedText> texts;
  for (model::Generation& result : *results) {
    const bool stopped = result.finish_reason == model::FinishReason::kStop;
    texts.push_back({std::move(result.ids), result.logprob_sum,
                     stopped ? "stop" : "length"});
  }
  return texts;
}

absl::StatusOr<std::vector<GeneratedText>> Run(
    const model::Parameters& parameters, const GenerateRequest& request) {
  const model::GenerateOptions options = {
      .sampling = {.temperature = request.temperature,
                   .top_k = request.top_k,
                   .top_p = request.top_p},
      .max_new_tokens = request.max_new_tokens,
      .stop_tokens = request.stop_tokens,
      .seed = request.seed};
  std::span<const GenerateTask> tasks = request.tasks;
  if (!request.take) return Answer(parameters, tasks, options, request.sink);
  while (!tasks.empty()) {
    const size_t count = std::min(request.tasks_at_once, tasks.size());
    ASSIGN_OR_RETURN(
        const std::vector<GeneratedText> texts,
        Answer(parameters, tasks.first(count), options, request.sink));
    RETURN_IF_ERROR(request.take(texts));
    tasks = tasks.subspan(count);
  }
  return std::vector<GeneratedText>();
}

class LocalGenerator final : public TextGenerator {
 public:
  explicit LocalGenerator(model::Parameters parameters)
      : parameters_(std::move(parameters)) {}

  absl::StatusOr<std::vector<GeneratedText>> Generate(
      const GenerateRequest& request) override {
    return base::CatchExceptions([&] { return Run(parameters_, request); });
  }

 private:
  const model::Parameters parameters_;
};

}  // namespace

absl::StatusOr<std::unique_ptr<TextGenerator>> LoadLocalGenerator(
    const std::string& model) {
  auto parameters = base::CatchExceptions([&] { return LoadModel(model); });
  if (!parameters.ok()) {
    return absl::Status(
        parameters.status().code(),
        absl::StrCat(model, ": ", parameters.status().message()));
  }
  return std::make_unique<LocalGenerator>(*std::move(parameters));
}

absl::StatusOr<std::vector<GeneratedText>> GenerateLocally(
    const GenerateRequest& request) {
  ASSIGN_OR_RETURN(const auto generator, LoadLocalGenerator(request.model));
  return generator->Generate(request);
}

}  // namespace varalign::cli
