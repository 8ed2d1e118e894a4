#include "cli/eval/eval_verb.h"

#include <cstdio>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "base/exit_code.h"
#include "base/file.h"
#include "base/status_macros.h"
#include "cli/eval/eval_prompts.h"
#include "cli/eval/eval_summary.h"
#include "cli/eval/responses.h"
#include "cli/model_place.h"
#include "cli/number_checks.h"
#include "cli/score_rows.h"

namespace varalign::cli {
namespace {

constexpr char kHelp[] =
    "Evaluate a policy: generate, score by a reward model, compare.\n\n"
    "  varalign eval --model RUN/model --baseline MODEL --reward REWARD "
    "--data held_out.jsonl\n"
    "  varalign eval --model RUN/model --reward REWARD --data p.jsonl "
    "--out eval --json\n"
    "  varalign eval --reward REWARD --pairs pairs.jsonl\n";

constexpr size_t kChunkTokens = 16384;
constexpr char kNone[] = "none";

struct EvalArguments {
  std::string model, baseline, reference, reward, data, pairs, out;
  size_t max_prompts = 0;
  uint32_t num_responses = 1;
  GenerateRequest sampling;
  bool json = false;
  bool quiet = false;
  base::ProgressScreen screen = base::ProgressScreen::kNone;

  // The model that the divergence is taken to; empty: none.
  std::string ReferenceModel() const {
    if (reference == kNone) return "";
    return reference.empty() ? baseline : reference;
  }
};

absl::Status Usage(const char* message) {
  return base::WithExitCode(absl::InvalidArgumentError(message),
                            base::kExitUsage);
}

absl::Status CheckArguments(const EvalArguments& arguments) {
  if (arguments.model.empty() != arguments.data.empty()) {
    return Usage("--model DIR and --data FILE go together");
  }
  if (arguments.model.empty() && arguments.pairs.empty()) {
    return Usage("give --model DIR with --data FILE, or --pairs FILE");
  }
  if (arguments.model.empty() && !arguments.baseline.empty()) {
    return Usage("--baseline DIR needs --model DIR");
  }
  RETURN_IF_ERROR(CheckModelDirectory("--reward", arguments.reward));
  if (!arguments.model.empty()) {
    RETURN_IF_ERROR(CheckModelDirectory("--model", arguments.model));
  }
  if (!arguments.baseline.empty()) {
    RETURN_IF_ERROR(CheckModelDirectory("--baseline", arguments.baseline));
  }
  const std::string reference = arguments.ReferenceModel();
  if (reference.empty()) return absl::OkStatus();
  return CheckModelDirectory("--reference", reference);
}

// Shows one bar an activity.
class Bars {
 public:
  explicit Bars(base::ProgressScreen screen) : screen_(screen) {}

  void Show(const std::string& activity, size_t done, size_t total) {
    if (activity != activity_) {
      Finish();
      activity_ = activity;
      bar_ = std::make_unique<base::Progress>(activity, "responses", total,
                                              screen_);
    }
    bar_->Update(done);
    if (done == total) Finish();
  }

 private:
  void Finish() {
    if (bar_ != nullptr) bar_->Finish();
    bar_.reset();
  }

  const base::ProgressScreen screen_;
  std::string activity_;
  std::unique_ptr<base::Progress> bar_;
};

Draws DrawsOf(const GenerateRequest& sampling) {
  const bool from_policy =
      sampling.temperature == 1 && sampling.top_p == 1 && sampling.top_k == 0;
  return from_policy ? Draws::kFromThePolicy : Draws::kTruncated;
}

base::Json SettingsJson(const EvalArguments& arguments) {
  return {{"model", arguments.model},
          {"baseline", arguments.baseline},
          {"reference", arguments.ReferenceModel()},
          {"reward", arguments.reward},
          {"data", arguments.data},
          {"pairs", arguments.pairs},
          {"max_prompts", arguments.max_prompts},
          {"num_responses", arguments.num_responses},
          {"max_new_tokens", arguments.sampling.max_new_tokens},
          {"temperature", arguments.sampling.temperature},
          {"top_p", arguments.sampling.top_p},
          {"top_k", arguments.sampling.top_k},
          {"seed", arguments.sampling.seed}};
}

absl::Status EvaluatePolicies(const EvalArguments& arguments,
                              const EvalModels& models, EvalPlan plan,
                              base::Json& result) {
  ASSIGN_OR_RETURN(plan.prompts,
                   ReadEvalPrompts(arguments.data, arguments.max_prompts));
  ASSIGN_OR_RETURN(std::vector<EvalResponse> responses,
                   Respond(plan, "model", arguments.model, models));
  const std::string reference = arguments.ReferenceModel();
  const Draws draws = DrawsOf(arguments.sampling);
  if (!reference.empty() && draws == Draws::kFromThePolicy) {
    RETURN_IF_ERROR(AddReference(plan, "model", arguments.model, reference,
                                 models, responses));
  }
  RETURN_IF_ERROR(
      AddRewards(plan, "model", arguments.reward, models, responses));
  base::Json model = SummaryOf(responses, draws);
  for (const char* name :
       {"n", "reward_mean", "reward_mean_ci", "length_mean", "kl", "kl_se"}) {
    result[name] = model[name];
  }
  result["reward_ci"] = model["reward_mean_ci"];
  result.erase("reward_mean_ci");
  result["model"] = std::move(model);
  if (arguments.baseline.empty()) return absl::OkStatus();
  ASSIGN_OR_RETURN(std::vector<EvalResponse> baseline,
                   Respond(plan, "baseline", arguments.baseline, models));
  RETURN_IF_ERROR(
      AddRewards(plan, "baseline", arguments.reward, models, baseline));
  base::Json comparison = Compare(responses, baseline);
  result["win_rate"] = comparison["win_rate"];
  result["win_rate_ci"] = comparison["win_rate_ci"];
  result["baseline"] = SummaryOf(baseline, Draws::kTruncated);
  result["comparison"] = std::move(comparison);
  return absl::OkStatus();
}

// r(chosen) - r(rejected) of the rows of a file of pairs.
absl::StatusOr<std::vector<double>> Margins(const EvalArguments& arguments,
                                            const EvalModels& models) {
  ASSIGN_OR_RETURN(RowEncoders encoders, LoadEncoders("", arguments.reward));
  const RowReader reader{.encoders = std::move(encoders), .kept = {}};
  ASSIGN_OR_RETURN(ScoreRows rows, ScoreRows::Open(arguments.pairs, reader));
  ASSIGN_OR_RETURN(
      const auto scorer,
      models.load_scorer({.policy = "", .reward = arguments.reward}));
  std::vector<double> margins;
  while (true) {
    ASSIGN_OR_RETURN(const std::vector<ScoreExample> examples,
                     rows.Next(kChunkTokens));
    if (examples.empty()) break;
    ASSIGN_OR_RETURN(const auto scores, scorer->Score(examples));
    for (size_t i = 0; i < examples.size(); ++i) {
      const auto& responses = scores[i];
      if (responses.size() != 2) {
        return absl::InvalidArgumentError(absl::StrCat(
            "--pairs has a row that is no pair of chosen and rejected: row ",
            examples[i].example, " of ", arguments.pairs));
      }
      margins.push_back(responses[0].reward.value_or(0) -
                        responses[1].reward.value_or(0));
    }
  }
  if (!rows.rejected().empty()) {
    return absl::InvalidArgumentError(
        absl::StrCat(arguments.pairs, ":", rows.rejected().front().line, ": ",
                     rows.rejected().front().reason));
  }
  if (!rows.too_long().empty()) {
    std::fprintf(stderr,
                 "%zu pairs are too long for the reward model and are "
                 "left out\n",
                 rows.too_long().size());
  }
  if (!margins.empty()) return margins;
  return absl::InvalidArgumentError(
      absl::StrCat("no pair can be scored in ", arguments.pairs));
}

absl::Status RunEval(const EvalArguments& arguments, const EvalModels& models) {
  if (!models.load_generator) {
    return absl::InternalError("models are loaded by varalign-compute");
  }
  RETURN_IF_ERROR(CheckArguments(arguments));
  if (!arguments.out.empty()) {
    RETURN_IF_ERROR(base::CreateDirectories(arguments.out));
  }
  base::Json result = {{"version", 1}};
  Bars bars(arguments.quiet ? base::ProgressScreen::kNone : arguments.screen);
  if (!arguments.model.empty()) {
    EvalPlan plan{
        .prompts = {},
        .num_responses = arguments.num_responses,
        .sampling = arguments.sampling,
        .out = arguments.out,
        .progress = [&](const std::string& activity, size_t done,
                        size_t total) { bars.Show(activity, done, total); }};
    RETURN_IF_ERROR(
        EvaluatePolicies(arguments, models, std::move(plan), result));
  }
  if (!arguments.pairs.empty()) {
    ASSIGN_OR_RETURN(const std::vector<double> margins,
                     Margins(arguments, models));
    result["pairs"] = PairAccuracy(margins);
  }
  result["settings"] = SettingsJson(arguments);
  if (!arguments.out.empty()) {
    RETURN_IF_ERROR(base::WriteFileAtomically(
        std::filesystem::path(arguments.out) / "summary.json",
        base::DumpJsonPretty(result)));
  }
  std::printf("%s", arguments.json ? (base::DumpJson(result) + "\n").c_str()
                                   : EvalText(result).c_str());
  return absl::OkStatus();
}

void AddModelOptions(CLI::App& verb, EvalArguments& arguments) {
  verb.add_option("--model", arguments.model, "directory of the policy");
  verb.add_option("--data", arguments.data,
                  "file of held-out rows, as prepare or generate reads them: "
                  "their prompts are answered");
  verb.add_option("--reward", arguments.reward, "reward model directory")
      ->required();
  verb.add_option("--baseline", arguments.baseline,
                  "directory of a policy to compare with");
  verb.add_option("--reference", arguments.reference,
                  "directory of the model that the KL divergence is taken to "
                  "(default the baseline), or none");
  verb.add_option("--pairs", arguments.pairs,
                  "file of pairs: how often the reward model prefers the "
                  "chosen response");
  verb.add_option("--out", arguments.out,
                  "directory that keeps responses, scores and summary; what is "
                  "there already is not computed again");
}

void AddSamplingOptions(CLI::App& verb, EvalArguments& arguments) {
  GenerateRequest& sampling = arguments.sampling;
  verb.add_option("--max-prompts", arguments.max_prompts,
                  "prompts from the top of the file (default 0: all)");
  verb.add_option("--num-responses", arguments.num_responses,
                  "responses for each prompt (default 1)")
      ->check(AboveZero());
  verb.add_option("--max-new-tokens", sampling.max_new_tokens,
                  "most tokens of a response (default 256)")
      ->check(AboveZero());
  verb.add_option("--temperature", sampling.temperature,
                  "0 is greedy (default 1); the KL divergence needs 1")
      ->check(ZeroOrAbove());
  verb.add_option("--top-p", sampling.top_p,
                  "share of probability to choose from (default 1)")
      ->check(CLI::Range(0.0, 1.0));
  verb.add_option("--top-k", sampling.top_k,
                  "tokens to choose from (default 0: all)");
  verb.add_option("--seed", sampling.seed, "of the random numbers (default 0)");
}

}  // namespace

void AddEvalVerb(CLI::App& app, Action& action, base::ProgressScreen screen,
                 EvalModels models) {
  auto arguments = std::make_shared<EvalArguments>();
  arguments->screen = screen;
  CLI::App* verb = app.add_subcommand("eval", kHelp);
  AddModelOptions(*verb, *arguments);
  AddSamplingOptions(*verb, *arguments);
  verb->add_flag("-q,--quiet", arguments->quiet, "no progress");
  verb->add_flag("--json", arguments->json, "print one JSON object");
  verb->callback([arguments, models = std::move(models), &action] {
    action = [arguments, models] { return RunEval(*arguments, models); };
  });
}

}  // namespace varalign::cli
