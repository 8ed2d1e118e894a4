// The scores of responses; eval/responses.h says what they are.
#include <algorithm>
#include <filesystem>
#include <optional>
#include <span>
#include <utility>

#include "absl/strings/str_cat.h"
#include "base/digest.h"
#include "base/status_macros.h"
#include "cli/eval/eval_prompts.h"
#include "cli/eval/responses.h"
#include "cli/eval/row_store.h"
#include "cli/generate_rows.h"
#include "cli/prepare_fit.h"
#include "cli/score_rows.h"
#include "data/manifest.h"

namespace varalign::cli {
namespace {

constexpr size_t kChunk = 64;

// Scores that one model gives to a list of responses.
struct Scoring {
  std::string activity;  // for people
  std::string file;      // name of the store
  base::Json settings;
  ScorerOptions models;
  // What is scored of a response; InvalidArgument or OutOfRange: nothing can
  // be.
  std::function<absl::StatusOr<ScoreExample>(const EvalResponse&)> example;
  std::function<std::optional<double>(const RowScore&)> score;
};

std::string KeyOf(const EvalPlan& plan, const EvalResponse& response) {
  const base::Json key = {plan.prompts[response.prompt], response.ids};
  return base::Sha256(base::DumpJson(key));
}

// The rows of one chunk, in its order; a null score where nothing can be
// scored.
absl::StatusOr<std::vector<base::Json>> ScoreChunk(
    const EvalPlan& plan, const Scoring& scoring, RowScorer& scorer,
    std::span<const EvalResponse> chunk) {
  std::vector<base::Json> rows;
  std::vector<ScoreExample> examples;
  std::vector<size_t> scored;
  for (const EvalResponse& response : chunk) {
    base::Json& row = rows.emplace_back(base::Json{
        {"sequence_sha256", KeyOf(plan, response)}, {"score", nullptr}});
    absl::StatusOr<ScoreExample> example = scoring.example(response);
    if (example.ok()) {
      scored.push_back(rows.size() - 1);
      examples.push_back(*std::move(example));
    } else if (absl::IsInvalidArgument(example.status()) ||
               absl::IsOutOfRange(example.status())) {
      row["reason"] = std::string(example.status().message());
    } else {
      return example.status();
    }
  }
  if (examples.empty()) return rows;
  ASSIGN_OR_RETURN(const auto scores, scorer.Score(examples));
  for (size_t i = 0; i < scored.size(); ++i) {
    const std::optional<double> score = scoring.score(scores[i].front());
    if (score.has_value()) rows[scored[i]]["score"] = *score;
  }
  return rows;
}

// The kept rows are those of the first responses.
absl::Status CheckKept(const EvalPlan& plan, const RowStore& store,
                       std::span<const EvalResponse> responses) {
  const size_t size = std::min(store.rows().size(), responses.size());
  for (size_t i = 0; i < size; ++i) {
    if (store.rows()[i].value("sequence_sha256", "") ==
        KeyOf(plan, responses[i])) {
      continue;
    }
    return absl::FailedPreconditionError(absl::StrCat(
        "kept scores are of other responses; give another --out: row ", i));
  }
  return absl::OkStatus();
}

absl::StatusOr<std::vector<std::optional<double>>> ScoreResponses(
    const EvalPlan& plan, const Scoring& scoring, const EvalModels& models,
    std::span<const EvalResponse> responses) {
  ASSIGN_OR_RETURN(
      RowStore store,
      RowStore::Open(
          plan.out.empty() ? plan.out : plan.out / (scoring.file + ".jsonl"),
          scoring.settings));
  RETURN_IF_ERROR(CheckKept(plan, store, responses));
  std::unique_ptr<RowScorer> scorer;
  if (store.rows().size() < responses.size()) {
    ASSIGN_OR_RETURN(scorer, models.load_scorer(scoring.models));
  }
  while (store.rows().size() < responses.size()) {
    const size_t first = store.rows().size();
    const size_t size = std::min(kChunk, responses.size() - first);
    ASSIGN_OR_RETURN(
        const std::vector<base::Json> rows,
        ScoreChunk(plan, scoring, *scorer, responses.subspan(first, size)));
    RETURN_IF_ERROR(store.Append(rows));
    if (plan.progress) {
      plan.progress(scoring.activity, first + size, responses.size());
    }
  }
  std::vector<std::optional<double>> scores;
  for (size_t i = 0; i < responses.size(); ++i) {
    const base::Json& score = store.rows()[i]["score"];
    scores.push_back(score.is_number()
                         ? std::optional<double>(score.get<double>())
                         : std::nullopt);
  }
  return scores;
}

// As the reward model reads the text of prompt and response; ids as they are.
absl::StatusOr<ScoreExample> AsRewardModelReads(
    const EvalPlan& plan, const EvalResponse& response,
    const std::optional<ExampleEncoder>& encoder) {
  const base::Json& prompt = plan.prompts[response.prompt];
  ScoreExample example;
  if (prompt.contains("prompt_ids")) {
    example.prompt.ids = prompt["prompt_ids"].get<std::vector<uint32_t>>();
    example.responses.push_back({.ids = response.ids, .reward_ids = {}});
    return example;
  }
  if (!encoder.has_value()) {
    return absl::FailedPreconditionError(
        "the prompts are text: give a --reward with a tokenizer.json");
  }
  ASSIGN_OR_RETURN(data::ParsedExample parsed,
                   WithResponse(prompt, response.text));
  const ExampleEncoder* const view = &*encoder;
  ASSIGN_OR_RETURN(FittedExample fitted,
                   FitExample({&view, 1}, std::move(parsed)));
  EncodedExample& ids = fitted.views.front();
  example.prompt.ids = std::move(ids.prompt);
  example.responses.push_back(
      {.ids = std::move(ids.responses.front()), .reward_ids = {}});
  return example;
}

absl::Status CheckSameText(const std::string& model,
                           const std::string& reference) {
  ASSIGN_OR_RETURN(const RowEncoders encoders, LoadEncoders(model, reference));
  if (encoders.policy.has_value() != encoders.reward.has_value() ||
      encoders.views().size() > 1) {
    return absl::InvalidArgumentError(absl::StrCat(
        "a KL divergence needs one tokenizer; give a --reference with that of "
        "--model, or 'none': ",
        model, " and ", reference, " differ"));
  }
  return absl::OkStatus();
}

}  // namespace

absl::Status AddRewards(const EvalPlan& plan, const std::string& name,
                        const std::string& reward, const EvalModels& models,
                        std::vector<EvalResponse>& responses) {
  ASSIGN_OR_RETURN(const RowEncoders encoders, LoadEncoders("", reward));
  ASSIGN_OR_RETURN(std::string fingerprint, models.fingerprint(reward));
  const Scoring scoring = {
      .activity = absl::StrCat("score ", name),
      .file = absl::StrCat("rewards-", name),
      .settings = {{"reward_fingerprint", std::move(fingerprint)}},
      .models = {.policy = "", .reward = reward},
      .example =
          [&](const EvalResponse& response) {
            return AsRewardModelReads(plan, response, encoders.reward);
          },
      .score = [](const RowScore& score) { return score.reward; }};
  ASSIGN_OR_RETURN(const auto scores,
                   ScoreResponses(plan, scoring, models, responses));
  for (size_t i = 0; i < scores.size(); ++i) responses[i].reward = scores[i];
  return absl::OkStatus();
}

absl::Status AddReference(const EvalPlan& plan, const std::string& name,
                          const std::string& model,
                          const std::string& reference,
                          const EvalModels& models,
                          std::vector<EvalResponse>& responses) {
  RETURN_IF_ERROR(CheckSameText(model, reference));
  ASSIGN_OR_RETURN(const PromptEncoder encoder, PromptEncoder::Load(model));
  ASSIGN_OR_RETURN(std::string fingerprint, models.fingerprint(reference));
  const Scoring scoring = {
      .activity = absl::StrCat("reference ", name),
      .file = absl::StrCat("reference-", name),
      .settings = {{"reference_fingerprint", std::move(fingerprint)}},
      .models = {.policy = reference, .reward = ""},
      .example =
          [&](const EvalResponse& response) -> absl::StatusOr<ScoreExample> {
        ScoreExample example;
        ASSIGN_OR_RETURN(example.prompt.ids,
                         encoder.Encode(plan.prompts[response.prompt]));
        example.responses.push_back({.ids = response.ids, .reward_ids = {}});
        return example;
      },
      .score = [](const RowScore& score) { return score.logprob_sum; }};
  ASSIGN_OR_RETURN(const auto scores,
                   ScoreResponses(plan, scoring, models, responses));
  for (size_t i = 0; i < scores.size(); ++i) {
    responses[i].reference_logprob_sum = scores[i];
  }
  return absl::OkStatus();
}

}  // namespace varalign::cli
