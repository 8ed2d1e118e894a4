#include "cli/world/world_verb.h"

#include <memory>
#include <string>

#include "cli/world/world_files.h"

namespace varalign::cli {

void AddWorldVerb(CLI::App& app, Action& action, base::ProgressScreen screen) {
  CLI::App* world = app.add_subcommand(
      "world",
      "The enumerable language world of the quickstart and of tests.\n\n"
      "  varalign world make --out world\n");
  world->require_subcommand(1);
  auto out = std::make_shared<std::string>();
  CLI::App* make =
      world->add_subcommand("make", "fit its two models and write its data");
  make->add_option("--out", *out, "directory to make")->required();
  make->callback([out, screen, &action] {
    action = [out, screen] { return MakeWorld(*out, screen); };
  });
}

}  // namespace varalign::cli
