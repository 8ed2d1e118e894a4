#include "cli/parse_error.h"

#include <algorithm>
#include <cstdio>
#include <string_view>
#include <vector>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "base/logging.h"
#include "cli/nearest_verb.h"
#include "config/nearest.h"
#include "config/rules.h"
#include "varalign/v1/run_config.pb.h"

namespace varalign::cli {
namespace {

// The verb whose words are parsed: "config print" of `app`.
const CLI::App& VerbOf(const CLI::App& app) {
  const CLI::App* verb = &app;
  while (!verb->get_subcommands().empty()) {
    verb = verb->get_subcommands().front();
  }
  return *verb;
}

// "train --set train.max_steps=5" is what takes keys of the configuration.
// Those whose last part is `name`, as "--set KEY=VALUE".
std::vector<std::string> SettingsNamed(const CLI::App& verb,
                                       std::string_view name) {
  std::vector<std::string> settings;
  if (verb.get_option_no_throw("--set") == nullptr) return settings;
  const bool objective_only = verb.get_name() == "weights";
  config::VisitValues(v1::RunConfig(), [&](const std::string& path, const auto&,
                                           const auto& field) {
    if (field.name() != name) return;
    if (objective_only && !absl::StartsWith(path, "objective.")) return;
    settings.push_back(absl::StrCat("--set ", path, "=VALUE"));
  });
  return settings;
}

// "; did you mean ...?" of an option that `verb` does not have, or nothing.
std::string Meant(const CLI::App& verb, const std::string& option) {
  std::string key = option.substr(2);
  std::replace(key.begin(), key.end(), '-', '_');
  const std::vector<std::string> settings = SettingsNamed(verb, key);
  if (!settings.empty()) {
    return absl::StrCat("; did you mean ", absl::StrJoin(settings, " or "),
                        "?");
  }
  std::vector<std::string> options;
  for (const CLI::Option* one : verb.get_options()) {
    for (const std::string& name : one->get_lnames()) {
      options.push_back(absl::StrCat("--", name));
    }
  }
  return config::DidYouMean(option, options);
}

// Of the words that nothing takes; what CLI11 says where none is an option.
std::string ExplainExtras(const CLI::App& app, const CLI::ParseError& error) {
  for (const std::string& word : app.remaining(/*recurse=*/true)) {
    if (!absl::StartsWith(word, "--") || word == "--") continue;
    const std::string option = word.substr(0, word.find('='));
    return absl::StrCat("unknown option ", option, Meant(VerbOf(app), option));
  }
  return error.what();
}

// "varalign config print".
std::string CommandOf(const CLI::App& app) {
  std::string command = app.get_name();
  const CLI::App* verb = &app;
  while (!verb->get_subcommands().empty()) {
    verb = verb->get_subcommands().front();
    absl::StrAppend(&command, " ", verb->get_name());
  }
  return command;
}

}  // namespace

std::string ExplainParseError(const CLI::App& app,
                              const CLI::ParseError& error) {
  const bool extras = dynamic_cast<const CLI::ExtrasError*>(&error) != nullptr;
  const std::string what = extras ? ExplainExtras(app, error) : error.what();
  return base::StripControl(
      absl::StrCat("varalign: ", what, "; see ", CommandOf(app), " --help"));
}

std::optional<base::ExitCode> ParseCommandLine(CLI::App& app,
                                               std::span<char*> argv) {
  const std::string unknown = UnknownVerb(app, argv);
  if (!unknown.empty()) {
    std::fprintf(stderr, "varalign: %s; see varalign --help\n",
                 base::StripControl(unknown).c_str());
    return base::kExitUsage;
  }
  try {
    app.parse(static_cast<int>(argv.size()), argv.data());
  } catch (const CLI::ParseError& error) {
    if (error.get_exit_code() == 0) {  // --help
      app.exit(error);
      return base::kExitOk;
    }
    std::fprintf(stderr, "%s\n", ExplainParseError(app, error).c_str());
    return base::kExitUsage;
  }
  return std::nullopt;
}

}  // namespace varalign::cli
