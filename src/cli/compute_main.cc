// varalign-compute: the verbs of `varalign` that compute with libtorch. The
// client becomes this program with the same arguments.
#include <cstdlib>

#include "CLI/CLI.hpp"
#include "base/exit_code.h"
#include "base/heap.h"
#include "base/logging.h"
#include "base/version.h"
#include "checkpoint/model_fingerprint.h"
#include "cli/eval/eval_verb.h"
#include "cli/generate_local.h"
#include "cli/generate_verb.h"
#include "cli/outcome.h"
#include "cli/parse_error.h"
#include "cli/plan_local.h"
#include "cli/plan_verb.h"
#include "cli/score_local.h"
#include "cli/score_verb.h"
#include "cli/verb.h"
#include "cli/world/world_verb.h"

namespace varalign::cli {
namespace {

int Run(int argc, char** argv) {
  base::KeepFreedMemory();
  base::InitLogging("varalign", base::LogLevel::kWarning);
  CLI::App app("The verbs of varalign that compute; run them by varalign.",
               "varalign");
  app.require_subcommand(1);
  app.set_version_flag("--version", base::kVersion);
  Action action;
  const base::ProgressScreen screen =
      base::ScreenOfStandardError(std::getenv("TERM"), std::getenv("NO_COLOR"));
  AddScoreVerb(app, action, screen, LoadLocalScorer);
  AddGenerateVerb(app, action, GenerateLocally, screen);
  AddEvalVerb(app, action, screen,
              {.load_generator = LoadLocalGenerator,
               .load_scorer = LoadLocalScorer,
               .fingerprint = checkpoint::ModelFingerprint});
  AddPlanVerb(app, action, PlanLocally);
  AddWorldVerb(app, action, screen);
  if (const auto ended =
          ParseCommandLine(app, {argv, static_cast<size_t>(argc)})) {
    return *ended;
  }
  return ReportOutcome(app, action());
}

}  // namespace
}  // namespace varalign::cli

int main(int argc, char** argv) { return varalign::cli::Run(argc, argv); }
