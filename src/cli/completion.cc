#include "cli/completion.h"

#include <algorithm>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "absl/strings/str_split.h"
#include "base/exit_code.h"

namespace varalign::cli {
namespace {

std::vector<std::string> FlagsOf(const CLI::App& verb) {
  std::vector<std::string> flags;
  for (const CLI::Option* option : verb.get_options()) {
    for (const std::string& name : option->get_lnames()) {
      flags.push_back(absl::StrCat("--", name));
    }
  }
  return flags;
}

std::vector<std::string> VerbNames(const CLI::App& app) {
  std::vector<std::string> names;
  for (const CLI::App* verb : app.get_subcommands({})) {
    names.push_back(verb->get_name());
  }
  return names;
}

// What may follow a verb: its own parts and its flags.
std::string WordsAfter(const CLI::App& verb) {
  std::vector<std::string> words = VerbNames(verb);
  for (std::string& flag : FlagsOf(verb)) words.push_back(std::move(flag));
  for (const CLI::App* part : verb.get_subcommands({})) {
    for (std::string& flag : FlagsOf(*part)) words.push_back(std::move(flag));
  }
  std::vector<std::string> unique;  // --help is a flag of every part
  for (std::string& word : words) {
    if (std::find(unique.begin(), unique.end(), word) == unique.end()) {
      unique.push_back(std::move(word));
    }
  }
  return absl::StrJoin(unique, " ");
}

std::string BashFunction(const CLI::App& app) {
  std::string script =
      "_varalign() {\n"
      "  local word=${COMP_WORDS[COMP_CWORD]} words=\n"
      "  if [ \"$COMP_CWORD\" = 1 ]; then\n";
  absl::StrAppend(&script, "    words=\"", absl::StrJoin(VerbNames(app), " "),
                  "\"\n  else\n    case ${COMP_WORDS[1]} in\n");
  for (const CLI::App* verb : app.get_subcommands({})) {
    absl::StrAppend(&script, "      ", verb->get_name(), ") words=\"",
                    WordsAfter(*verb), "\" ;;\n");
  }
  absl::StrAppend(&script,
                  "    esac\n  fi\n"
                  "  COMPREPLY=($(compgen -W \"$words\" -- \"$word\"))\n"
                  "  [ ${#COMPREPLY[@]} = 0 ] && "
                  "COMPREPLY=($(compgen -f -- \"$word\"))\n"
                  "}\n"
                  "complete -F _varalign varalign\n");
  return script;
}

std::string FirstLine(const std::string& text) {
  const std::vector<std::string> lines = absl::StrSplit(text, '\n');
  return lines.front();
}

std::string FishScript(const CLI::App& app) {
  std::string script;
  for (const CLI::App* verb : app.get_subcommands({})) {
    absl::StrAppend(
        &script, "complete -c varalign -n __fish_use_subcommand -f -a ",
        verb->get_name(), " -d '", FirstLine(verb->get_description()), "'\n");
    for (const CLI::Option* option : verb->get_options()) {
      for (const std::string& name : option->get_lnames()) {
        absl::StrAppend(&script,
                        "complete -c varalign -n '__fish_seen_subcommand_from ",
                        verb->get_name(), "' -l ", name, " -d '",
                        FirstLine(option->get_description()), "'\n");
      }
    }
  }
  return script;
}

}  // namespace

absl::StatusOr<std::string> CompletionScript(const CLI::App& app,
                                             const std::string& shell) {
  if (shell == "bash") return BashFunction(app);
  if (shell == "zsh") {
    return absl::StrCat("autoload -U +X bashcompinit && bashcompinit\n",
                        BashFunction(app));
  }
  if (shell == "fish") return FishScript(app);
  return base::WithExitCode(
      absl::InvalidArgumentError(absl::StrCat(
          "no completion for this shell; bash, zsh or fish: ", shell)),
      base::kExitUsage);
}

}  // namespace varalign::cli
