#include "data/row_columns.h"

#include <algorithm>
#include <array>
#include <string_view>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"

namespace varalign::data {
namespace {

constexpr std::array kNames = {
    "chosen",   "completion", "instruction", "label",        "logprob_sums",
    "messages", "num_tokens", "output_1",    "output_2",     "prompt",
    "rejected", "responses",  "rewards",     "score_chosen", "score_rejected",
};

}  // namespace

absl::StatusOr<RowColumns> ParseColumns(std::span<const std::string> columns) {
  RowColumns parsed;
  for (const std::string& column : columns) {
    const size_t equals = column.find('=');
    if (equals == std::string::npos || equals == 0 ||
        equals + 1 == column.size()) {
      return absl::InvalidArgumentError(absl::StrCat(
          "a column is given as OURS=THEIRS, as in prompt=question: ", column));
    }
    const std::string ours = column.substr(0, equals);
    if (std::find(kNames.begin(), kNames.end(), ours) == kNames.end()) {
      return absl::InvalidArgumentError(
          absl::StrCat("no such column, there are ",
                       absl::StrJoin(kNames, ", "), ": ", ours));
    }
    parsed[ours] = column.substr(equals + 1);
  }
  return parsed;
}

base::Json RenameColumns(base::Json row, const RowColumns& columns) {
  if (columns.empty() || !row.is_object()) return row;
  base::Json renamed = row;
  for (const auto& [ours, theirs] : columns) renamed.erase(ours);
  for (const auto& [ours, theirs] : columns) {
    const auto found = row.find(theirs);
    if (found != row.end()) renamed[ours] = *found;
  }
  return renamed;
}

}  // namespace varalign::data
