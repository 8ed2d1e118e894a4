#include "cli/nearest_verb.h"

#include <algorithm>
#include <numeric>
#include <vector>

namespace varalign::cli {
namespace {

// Single-character edits between two words (Levenshtein), row by row.
size_t EditDistance(std::string_view a, std::string_view b) {
  std::vector<size_t> row(b.size() + 1);
  std::iota(row.begin(), row.end(), size_t{0});
  for (size_t i = 1; i <= a.size(); ++i) {
    size_t diagonal = row[0];
    row[0] = i;
    for (size_t j = 1; j <= b.size(); ++j) {
      const size_t replaced = diagonal + (a[i - 1] == b[j - 1] ? 0 : 1);
      diagonal = row[j];
      row[j] = std::min({row[j] + 1, row[j - 1] + 1, replaced});
    }
  }
  return row[b.size()];
}

}  // namespace

bool HasVerb(const CLI::App& app, std::string_view word) {
  const auto verbs = app.get_subcommands({});
  return std::any_of(verbs.begin(), verbs.end(), [&](const CLI::App* verb) {
    return verb->get_name() == word;
  });
}

std::string NearestVerb(const CLI::App& app, std::string_view word) {
  std::string nearest;
  size_t distance = std::max<size_t>(word.size() / 2, 1) + 1;
  for (const CLI::App* verb : app.get_subcommands({})) {
    const size_t d = EditDistance(verb->get_name(), word);
    if (d < distance) {
      distance = d;
      nearest = verb->get_name();
    }
  }
  return nearest;
}

}  // namespace varalign::cli
