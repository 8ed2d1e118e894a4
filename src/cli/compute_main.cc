// varalign-compute: the verbs of `varalign` that compute with libtorch. The
// client becomes this program with the same arguments.
#include <malloc.h>

#include <cstdio>
#include <string>

#include "CLI/CLI.hpp"
#include "absl/status/status.h"
#include "base/exit_code.h"
#include "base/logging.h"
#include "base/string_view.h"
#include "base/version.h"
#include "cli/score_local.h"
#include "cli/score_verb.h"
#include "cli/verb.h"
#include "cli/world/world_verb.h"

namespace varalign::cli {
namespace {

int Run(int argc, char** argv) {
  // Large tensors come and go with each batch: keep their memory.
  mallopt(M_MMAP_THRESHOLD, 1 << 30);
  mallopt(M_TRIM_THRESHOLD, 1 << 30);
  base::InitLogging("varalign", base::LogLevel::kWarning);
  CLI::App app("The verbs of varalign that compute; run them by varalign.",
               "varalign");
  app.require_subcommand(1);
  app.set_version_flag("--version", base::kVersion);
  Action action;
  AddScoreVerb(app, action, LoadLocalScorer);
  AddWorldVerb(app, action);
  try {
    app.parse(argc, argv);
  } catch (const CLI::ParseError& error) {
    return app.exit(error) == 0 ? base::kExitOk : base::kExitUsage;
  }
  const absl::Status status = action();
  if (!status.ok()) {
    std::fprintf(stderr, "varalign %s: %s\n",
                 app.get_subcommands().front()->get_name().c_str(),
                 base::StripControl(base::ToStd(status.message())).c_str());
  }
  return base::ExitCodeFor(status);
}

}  // namespace
}  // namespace varalign::cli

int main(int argc, char** argv) { return varalign::cli::Run(argc, argv); }
