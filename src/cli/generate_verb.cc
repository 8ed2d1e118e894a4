#include "cli/generate_verb.h"

#include <cstdio>
#include <memory>
#include <utility>

#include "base/exit_code.h"
#include "base/json.h"
#include "base/logging.h"
#include "base/status_macros.h"
#include "cli/generate_groups.h"
#include "cli/generate_rows.h"
#include "cli/model_place.h"
#include "cli/number_checks.h"

namespace varalign::cli {
namespace {

constexpr char kHelp[] =
    "Generate responses: for a look at a model, and for evaluation.\n\n"
    "  varalign generate --model MODEL --prompt 'Once upon a time'\n"
    "  varalign generate --model MODEL --prompts prompts.jsonl --temperature 0 "
    "--json\n"
    "  varalign generate --model MODEL --prompts p.jsonl --num-responses 4 "
    "--seed 7 --json\n"
    "  varalign generate --model MODEL --prompts p.jsonl --num-responses 8 "
    "--into groups --out groups.jsonl\n";

struct GenerateArguments {
  GenerateRequest request;
  std::string prompts, prompt, into, out;
  size_t num_sources = 0;  // which of the two were given, if only as ""
  uint32_t num_responses = 1;
  bool json = false;
  bool keep_truncated = false;
  bool quiet = false;
  base::ProgressScreen screen = base::ProgressScreen::kNone;
};

absl::Status Usage(const char* message) {
  return base::WithExitCode(absl::InvalidArgumentError(message),
                            base::kExitUsage);
}

absl::Status CheckArguments(const GenerateArguments& arguments) {
  if (arguments.num_sources != 1) {
    return Usage("give --prompts FILE or --prompt TEXT, one of them");
  }
  if (arguments.prompts.empty() && arguments.prompt.empty()) {
    return Usage("the prompt is empty: give --prompt a text, --prompts a file");
  }
  if (arguments.into.empty() != arguments.out.empty()) {
    return Usage("give --into groups with --out FILE, or none of them");
  }
  if (!arguments.into.empty() && arguments.prompts.empty()) {
    return Usage("--into groups needs --prompts FILE");
  }
  return CheckModelDirectory("--model", arguments.request.model);
}

absl::StatusOr<std::vector<std::vector<uint32_t>>> Prompts(
    const GenerateArguments& arguments, const PromptEncoder& encoder) {
  if (!arguments.prompts.empty()) {
    return ReadPrompts(arguments.prompts, encoder);
  }
  ASSIGN_OR_RETURN(std::vector<uint32_t> ids,
                   encoder.EncodeTyped(arguments.prompt));
  return std::vector<std::vector<uint32_t>>{std::move(ids)};
}

// Shows one response as it grows: what a later token cannot change any more.
class Stream {
 public:
  explicit Stream(const PromptEncoder& encoder) : encoder_(encoder) {}

  void Add(uint32_t token) {
    ids_.push_back(token);
    const std::string text = encoder_.Decode(ids_);
    const std::string_view settled = Settled(text);
    if (settled.size() <= shown_) return;
    Show(settled.substr(shown_));
    shown_ = settled.size();
  }
  void Finish() {
    const std::string text = encoder_.Decode(ids_);
    if (text.size() > shown_) Show(std::string_view(text).substr(shown_));
    Show("\n");
  }

 private:
  static void Show(std::string_view text) {
    std::fputs(base::StripControl(text).c_str(), stdout);
    std::fflush(stdout);
  }

  const PromptEncoder& encoder_;
  std::vector<uint32_t> ids_;
  size_t shown_ = 0;
};

base::Json ResponseJson(const GeneratedText& response,
                        const PromptEncoder& encoder) {
  return {{"text", encoder.Decode(response.ids)},
          {"ids", response.ids},
          {"logprob_sum", response.logprob_sum},
          {"finish_reason", response.finish_reason}};
}

void PrintJson(const std::vector<GeneratedText>& results, size_t per_prompt,
               const PromptEncoder& encoder) {
  for (size_t first = 0; first < results.size(); first += per_prompt) {
    base::Json responses = base::Json::array();
    for (size_t k = 0; k < per_prompt; ++k) {
      responses.push_back(ResponseJson(results[first + k], encoder));
    }
    const base::Json line = {{"version", 1},
                             {"example", first / per_prompt},
                             {"responses", std::move(responses)}};
    std::printf("%s\n", base::DumpJson(line).c_str());
  }
}

void PrintText(const std::vector<GeneratedText>& results, size_t per_prompt,
               const PromptEncoder& encoder) {
  for (size_t i = 0; i < results.size(); ++i) {
    std::printf("[%zu.%zu] %s\n", i / per_prompt, i % per_prompt,
                base::StripControl(encoder.Decode(results[i].ids)).c_str());
  }
}

absl::Status RunIntoGroups(const GenerateArguments& arguments,
                           const GenerateModel& generate) {
  ASSIGN_OR_RETURN(const PromptEncoder encoder,
                   PromptEncoder::Load(arguments.request.model));
  GroupsOptions options{.request = arguments.request,
                        .prompts = arguments.prompts,
                        .out = arguments.out,
                        .num_responses = arguments.num_responses,
                        .truncated = arguments.keep_truncated
                                         ? GroupsOptions::Truncated::kKeep
                                         : GroupsOptions::Truncated::kLeaveOut,
                        .screen = arguments.quiet ? base::ProgressScreen::kNone
                                                  : arguments.screen};
  options.request.stop_tokens = encoder.stop_tokens();
  return GenerateGroups(options, generate);
}

absl::Status RunGenerate(const GenerateArguments& arguments,
                         const GenerateModel& generate) {
  if (!generate) {
    return absl::InternalError("models are loaded by varalign-compute");
  }
  RETURN_IF_ERROR(CheckArguments(arguments));
  if (!arguments.into.empty()) return RunIntoGroups(arguments, generate);
  GenerateRequest request = arguments.request;
  ASSIGN_OR_RETURN(const PromptEncoder encoder,
                   PromptEncoder::Load(request.model));
  ASSIGN_OR_RETURN(const std::vector<std::vector<uint32_t>> prompts,
                   Prompts(arguments, encoder));
  request.stop_tokens = encoder.stop_tokens();
  for (const std::vector<uint32_t>& prompt : prompts) {
    for (uint32_t k = 0; k < arguments.num_responses; ++k) {
      request.tasks.push_back({prompt, request.tasks.size()});
    }
  }
  // One response alone is shown as it grows.
  Stream stream(encoder);
  const bool streams = !arguments.json && request.tasks.size() == 1;
  if (streams) {
    request.sink = [&](size_t, uint32_t token) { stream.Add(token); };
  }
  ASSIGN_OR_RETURN(const std::vector<GeneratedText> results, generate(request));
  if (streams) {
    stream.Finish();
  } else if (arguments.json) {
    PrintJson(results, arguments.num_responses, encoder);
  } else {
    PrintText(results, arguments.num_responses, encoder);
  }
  return absl::OkStatus();
}

}  // namespace

void AddGenerateVerb(CLI::App& app, Action& action, GenerateModel generate,
                     base::ProgressScreen screen) {
  auto arguments = std::make_shared<GenerateArguments>();
  arguments->screen = screen;
  GenerateRequest& request = arguments->request;
  CLI::App* verb = app.add_subcommand("generate", kHelp);
  verb->add_option("--model", request.model, "model directory")->required();
  const CLI::Option* prompts =
      verb->add_option("--prompts", arguments->prompts,
                       "file of lines {\"messages\"}, {\"prompt\"} or "
                       "{\"prompt_ids\"}, or -");
  const CLI::Option* prompt =
      verb->add_option("--prompt", arguments->prompt,
                       "one prompt: a user's turn where the model has a chat "
                       "template; shown as it grows");
  verb->add_option("--max-new-tokens", request.max_new_tokens,
                   "most tokens of a response (default 256)")
      ->check(AboveZero());
  verb->add_option("--temperature", request.temperature,
                   "0 is greedy (default 1)")
      ->check(ZeroOrAbove());
  verb->add_option("--top-p", request.top_p,
                   "share of probability to choose from (default 1)")
      ->check(CLI::Range(0.0, 1.0));
  verb->add_option("--top-k", request.top_k,
                   "tokens to choose from (default 0: all)");
  verb->add_option("--num-responses", arguments->num_responses,
                   "responses for each prompt (default 1)")
      ->check(AboveZero());
  verb->add_option("--seed", request.seed, "of the random numbers (default 0)");
  verb->add_option("--into", arguments->into,
                   "groups: write rows that prepare reads, to --out; a killed "
                   "call goes on when it is repeated")
      ->check(CLI::IsMember({"groups"}));
  verb->add_option("--out", arguments->out, "file to write, with --into");
  verb->add_flag("--keep-truncated", arguments->keep_truncated,
                 "with --into: keep responses that --max-new-tokens has cut");
  verb->add_flag("-q,--quiet", arguments->quiet, "no progress");
  verb->add_flag("--json", arguments->json, "print JSON lines");
  verb->callback(
      [arguments, prompts, prompt, generate = std::move(generate), &action] {
        arguments->num_sources =
            (prompts->count() > 0 ? 1 : 0) + (prompt->count() > 0 ? 1 : 0);
        action = [arguments, generate] {
          return RunGenerate(*arguments, generate);
        };
      });
}

}  // namespace varalign::cli
