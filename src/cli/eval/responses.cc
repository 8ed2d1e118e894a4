#include "cli/eval/responses.h"

#include <algorithm>
#include <span>
#include <utility>

#include "absl/strings/str_cat.h"
#include "base/digest.h"
#include "base/status_macros.h"
#include "cli/eval/row_store.h"
#include "cli/generate_rows.h"

namespace varalign::cli {
namespace {

// Responses between two writes to the disk.
constexpr size_t kChunk = 64;

absl::StatusOr<base::Json> Settings(const EvalPlan& plan,
                                    const std::string& model,
                                    const EvalModels& models) {
  ASSIGN_OR_RETURN(std::string fingerprint, models.fingerprint(model));
  const GenerateRequest& sampling = plan.sampling;
  return base::Json{{"model_fingerprint", std::move(fingerprint)},
                    {"num_responses", plan.num_responses},
                    {"max_new_tokens", sampling.max_new_tokens},
                    {"temperature", sampling.temperature},
                    {"top_p", sampling.top_p},
                    {"top_k", sampling.top_k},
                    {"seed", sampling.seed}};
}

base::Json RowOf(const EvalPlan& plan, size_t number, const GeneratedText& text,
                 const PromptEncoder& encoder) {
  const size_t prompt = number / plan.num_responses;
  const std::string words = base::DumpJson(plan.prompts[prompt]);
  return {{"example", prompt},
          {"response", number % plan.num_responses},
          {"prompt_sha256", base::Sha256(words)},
          {"text", encoder.Decode(text.ids)},
          {"ids", text.ids},
          {"logprob_sum", text.logprob_sum},
          {"finish_reason", text.finish_reason}};
}

absl::StatusOr<EvalResponse> ResponseOf(const EvalPlan& plan, size_t number,
                                        const base::Json& row) {
  EvalResponse response;
  response.prompt = number / plan.num_responses;
  const std::string words = base::DumpJson(plan.prompts[response.prompt]);
  if (row.value("prompt_sha256", "") != base::Sha256(words)) {
    return absl::FailedPreconditionError(
        absl::StrCat("the kept responses answer other prompts; give another "
                     "--out, or the --data of before: prompt ",
                     response.prompt));
  }
  response.text = row.value("text", "");
  response.ids = row.value("ids", std::vector<uint32_t>());
  response.logprob_sum = row.value("logprob_sum", 0.0);
  response.stopped = row.value("finish_reason", "") == "stop";
  return response;
}

std::filesystem::path FileIn(const EvalPlan& plan, const std::string& name) {
  return plan.out.empty() ? plan.out : plan.out / (name + ".jsonl");
}

absl::StatusOr<std::vector<GenerateTask>> Tasks(const EvalPlan& plan,
                                                const PromptEncoder& encoder) {
  std::vector<GenerateTask> tasks;
  for (size_t i = 0; i < plan.prompts.size(); ++i) {
    const auto ids = encoder.Encode(plan.prompts[i]);
    if (!ids.ok()) {
      return absl::Status(ids.status().code(),
                          absl::StrCat("the model cannot read prompt ", i, ": ",
                                       ids.status().message()));
    }
    for (uint32_t k = 0; k < plan.num_responses; ++k) {
      tasks.push_back({*ids, tasks.size()});
    }
  }
  return tasks;
}

absl::Status GenerateMissing(const EvalPlan& plan, const std::string& name,
                             const std::string& model, const EvalModels& models,
                             const PromptEncoder& encoder, RowStore& store) {
  ASSIGN_OR_RETURN(const std::vector<GenerateTask> tasks, Tasks(plan, encoder));
  if (store.rows().size() >= tasks.size()) return absl::OkStatus();
  ASSIGN_OR_RETURN(const auto generator, models.load_generator(model));
  GenerateRequest request = plan.sampling;
  request.model = model;
  request.stop_tokens = encoder.stop_tokens();
  while (store.rows().size() < tasks.size()) {
    const size_t first = store.rows().size();
    const size_t size = std::min(kChunk, tasks.size() - first);
    const std::span<const GenerateTask> chunk =
        std::span(tasks).subspan(first, size);
    request.tasks.assign(chunk.begin(), chunk.end());
    ASSIGN_OR_RETURN(const std::vector<GeneratedText> texts,
                     generator->Generate(request));
    std::vector<base::Json> rows;
    for (size_t i = 0; i < size; ++i) {
      rows.push_back(RowOf(plan, first + i, texts[i], encoder));
    }
    RETURN_IF_ERROR(store.Append(rows));
    if (plan.progress) {
      plan.progress(absl::StrCat("generate ", name), first + size,
                    tasks.size());
    }
  }
  return absl::OkStatus();
}

}  // namespace

absl::StatusOr<std::vector<EvalResponse>> Respond(const EvalPlan& plan,
                                                  const std::string& name,
                                                  const std::string& model,
                                                  const EvalModels& models) {
  ASSIGN_OR_RETURN(const PromptEncoder encoder, PromptEncoder::Load(model));
  ASSIGN_OR_RETURN(base::Json settings, Settings(plan, model, models));
  ASSIGN_OR_RETURN(
      RowStore store,
      RowStore::Open(FileIn(plan, "responses-" + name), std::move(settings)));
  RETURN_IF_ERROR(GenerateMissing(plan, name, model, models, encoder, store));
  std::vector<EvalResponse> responses;
  const size_t total = plan.prompts.size() * plan.num_responses;
  for (size_t i = 0; i < total; ++i) {
    ASSIGN_OR_RETURN(EvalResponse response,
                     ResponseOf(plan, i, store.rows()[i]));
    responses.push_back(std::move(response));
  }
  return responses;
}

}  // namespace varalign::cli
