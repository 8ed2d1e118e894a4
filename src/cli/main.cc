// varalign: the client. Links no torch and starts at once.
#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <span>
#include <string>

#include "CLI/CLI.hpp"
#include "absl/status/status.h"
#include "base/exit_code.h"
#include "base/logging.h"
#include "base/version.h"
#include "cli/compute_exec.h"
#include "cli/data_verbs.h"
#include "cli/eval/eval_verb.h"
#include "cli/generate_verb.h"
#include "cli/outcome.h"
#include "cli/parse_error.h"
#include "cli/plan_verb.h"
#include "cli/program_verbs.h"
#include "cli/run_verbs.h"
#include "cli/score_verb.h"
#include "cli/train_verb.h"
#include "cli/verb.h"
#include "cli/weights_verb.h"

namespace varalign::cli {
namespace {

constexpr char kDescription[] =
    "varalign aligns language models without reinforcement learning:\n"
    "reward-weighted fine-tuning of a Hugging Face model on preference "
    "data.\n\n"
    "  varalign prepare --model MODEL --in pairs.jsonl --out data\n"
    "  varalign train run.yaml\n";

void AddVerbs(CLI::App& app, Action& action) {
  const char* term = std::getenv("TERM");
  const char* no_color = std::getenv("NO_COLOR");
  const base::ProgressScreen screen =
      base::ScreenOfStandardError(term, no_color);
  AddTrainVerb(app, action, screen);
  AddPrepareVerb(app, action, screen);
  AddDataVerb(app, action, base::ScreenOfStandardOutput(term, no_color));
  AddTokenizeVerb(app, action);
  AddScoreVerb(app, action, screen);
  AddWeightsVerb(app, action);
  AddGenerateVerb(app, action);
  AddEvalVerb(app, action, screen);
  AddPlanVerb(app, action);
  AddSubmitVerb(app, action);
  AddWatchVerb(app, action, screen);
  AddListVerb(app, action);
  AddCancelVerb(app, action);
  AddConfigVerb(app, action);
  AddVersionVerb(app, action);
  AddCompletionVerb(app, action);
  app.add_subcommand("world",
                     "Make the language world of the quickstart.\n\n"
                     "  varalign world make --out world\n");
}

int Run(std::span<char*> argv) {
  base::InitLogging("varalign", base::LogLevel::kWarning);
  if (NeedsCompute(argv)) {
    const absl::Status status = ExecCompute(argv);
    std::fprintf(stderr, "varalign: %s\n",
                 std::string(status.message()).c_str());
    return base::kExitInternal;
  }
  CLI::App app(kDescription, "varalign");
  app.require_subcommand(1);
  app.set_version_flag("--version", base::kVersion);
  Action action;
  AddVerbs(app, action);
  if (const auto ended = ParseCommandLine(app, argv)) return *ended;
  return ReportOutcome(app, action());
}

}  // namespace
}  // namespace varalign::cli

int main(int argc, char** argv) {
  return varalign::cli::Run({argv, static_cast<size_t>(argc)});
}
