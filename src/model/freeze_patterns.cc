#include "model/freeze_patterns.h"

#include <fnmatch.h>

#include <algorithm>

#include "absl/strings/ascii.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "absl/strings/string_view.h"
#include "model/parameter_names.h"

namespace varalign::model {
namespace {

bool AnyMatches(std::span<const std::string> patterns,
                const std::string& name) {
  return std::ranges::any_of(patterns, [&](const std::string& pattern) {
    return MatchesPattern(pattern, name);
  });
}

bool IsFrozenWhole(const ModelConfig& config, size_t layer,
                   std::span<const std::string> patterns) {
  const std::string prefix = LayerPrefix(layer);
  return std::ranges::all_of(LayerNames(), [&](const LayerName& row) {
    return !HasTensor(config, row.name) ||
           AnyMatches(patterns, absl::StrCat(prefix, row.name));
  });
}

}  // namespace

std::vector<std::string> SplitPatterns(const std::string& list) {
  std::vector<std::string> patterns;
  for (const absl::string_view pattern :
       absl::StrSplit(list, ',', absl::SkipWhitespace())) {
    patterns.emplace_back(absl::StripAsciiWhitespace(pattern));
  }
  return patterns;
}

bool MatchesPattern(const std::string& pattern, const std::string& name) {
  return fnmatch(pattern.c_str(), name.c_str(), 0) == 0;
}

int64_t FrozenBlocks(const ModelConfig& config,
                     std::span<const std::string> patterns) {
  if (!AnyMatches(patterns, std::string(kEmbeddingName))) return 0;
  int64_t layers = 0;
  while (layers < config.num_layers &&
         IsFrozenWhole(config, static_cast<size_t>(layers), patterns)) {
    ++layers;
  }
  return 1 + layers;
}

}  // namespace varalign::model
