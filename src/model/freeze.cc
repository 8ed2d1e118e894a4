#include "model/freeze.h"

#include <algorithm>
#include <cstdint>
#include <iterator>
#include <map>
#include <utility>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/strings/str_cat.h"
#include "base/name_list.h"
#include "base/status_macros.h"
#include "model/freeze_patterns.h"

namespace varalign::model {
namespace {

using Range = std::pair<int64_t, int64_t>;  // of the flat buffer

// A tensor of the flat buffer, which may be several of a file.
struct Part {
  std::vector<std::string> names;
  std::vector<std::string> matched;
};
using Parts = std::map<Range, Part>;

// The tensors of the flat buffer, with the names of their rows.
Parts PartsOf(const Parameters& parameters) {
  Parts parts;
  const auto add = [&](const at::Tensor& tensor) {
    const int64_t begin = tensor.storage_offset();
    parts.emplace(Range(begin, begin + tensor.numel()), Part());
  };
  add(parameters.embedding);
  for (const LayerParameters& layer : parameters.layers) {
    for (const at::Tensor& tensor : TensorsOf(layer)) add(tensor);
  }
  add(parameters.final_norm);
  if (parameters.score.defined()) add(parameters.score);
  if (parameters.lm_head.defined()) add(parameters.lm_head);
  for (const auto& [name, tensor] : HuggingFaceTensors(parameters)) {
    // The last part that begins at the tensor or before it.
    const auto next =
        parts.upper_bound(Range(tensor.storage_offset(), INT64_MAX));
    std::prev(next)->second.names.push_back(name);
  }
  return parts;
}

absl::Status Match(const std::string& pattern, Parts& parts) {
  bool matches = false;
  for (auto& [range, part] : parts) {
    for (const std::string& name : part.names) {
      if (!MatchesPattern(pattern, name)) continue;
      matches = true;
      if (std::ranges::count(part.matched, name) == 0) {
        part.matched.push_back(name);
      }
    }
  }
  if (matches) return absl::OkStatus();
  return absl::InvalidArgumentError(absl::StrCat(
      "no parameter has such a name, see the names in the model's files: ",
      base::ListNames({pattern})));
}

// `ranges` without what lies in `removed`, which are parts of them or beside
// them.
std::vector<Range> Without(const std::vector<Range>& ranges,
                           const std::vector<Range>& removed) {
  std::vector<Range> rest;
  for (auto [begin, end] : ranges) {
    for (const Range& gap : removed) {
      if (gap.second <= begin || gap.first >= end) continue;
      if (gap.first > begin) rest.emplace_back(begin, gap.first);
      begin = gap.second;
    }
    if (begin < end) rest.emplace_back(begin, end);
  }
  return rest;
}

// The parts that match, ascending.
absl::StatusOr<std::vector<Range>> WholeMatches(const Parts& parts) {
  std::vector<Range> frozen;
  for (const auto& [range, part] : parts) {
    if (part.matched.empty()) continue;
    if (part.matched.size() < part.names.size()) {
      return absl::InvalidArgumentError(absl::StrCat(
          "parts of one matrix are frozen together or not at all: of ",
          base::ListNames(part.names), " the patterns match only ",
          base::ListNames(part.matched)));
    }
    frozen.push_back(range);
  }
  if (frozen.size() == parts.size()) {
    return absl::InvalidArgumentError("nothing is left to train");
  }
  return frozen;
}

}  // namespace

absl::Status Freeze(std::span<const std::string> patterns,
                    Parameters& parameters) {
  if (patterns.empty()) return absl::OkStatus();
  Parts parts = PartsOf(parameters);
  for (const std::string& pattern : patterns) {
    RETURN_IF_ERROR(Match(pattern, parts));
  }
  ASSIGN_OR_RETURN(std::vector<Range> frozen, WholeMatches(parts));
  parameters.decayed = Without(parameters.decayed, frozen);
  parameters.frozen = std::move(frozen);
  return absl::OkStatus();
}

}  // namespace varalign::model
