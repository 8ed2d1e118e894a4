#include "cli/nearest_verb.h"

#include <algorithm>
#include <string_view>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "config/nearest.h"

namespace varalign::cli {
namespace {

const CLI::App* VerbOf(const CLI::App& app, std::string_view word) {
  const auto verbs = app.get_subcommands({});
  const auto found = std::find_if(
      verbs.begin(), verbs.end(),
      [&](const CLI::App* verb) { return verb->get_name() == word; });
  return found == verbs.end() ? nullptr : *found;
}

}  // namespace

std::string UnknownVerb(const CLI::App& app, std::span<char* const> argv) {
  const CLI::App* parent = &app;
  std::string before;  // verbs that are known, each with a space behind it
  for (size_t i = 1; i < argv.size(); ++i) {
    const std::string_view word = argv[i];
    if (word.starts_with("-") || parent->get_subcommands({}).empty()) return "";
    const CLI::App* verb = VerbOf(*parent, word);
    if (verb == nullptr) {
      std::vector<std::string> known;
      for (const CLI::App* one : parent->get_subcommands({})) {
        known.push_back(before + one->get_name());
      }
      const std::string meant = before + std::string(word);
      std::string hint = config::DidYouMean(meant, known);
      if (hint.empty() && !before.empty()) {
        hint = absl::StrCat("; there is ", absl::StrJoin(known, ", "));
      }
      return absl::StrCat("unknown verb '", meant, "'", hint);
    }
    absl::StrAppend(&before, verb->get_name(), " ");
    parent = verb;
  }
  return "";
}

}  // namespace varalign::cli
