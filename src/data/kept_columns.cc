#include "data/kept_columns.h"

#include <cmath>
#include <cstddef>
#include <set>

#include "absl/status/statusor.h"
#include "absl/strings/str_cat.h"
#include "base/status_macros.h"
#include "data/row_fields.h"

namespace varalign::data {
namespace {

absl::StatusOr<double> Number(const base::Json& value,
                              const std::string& name) {
  if (!value.is_number() || !std::isfinite(value.get<double>())) {
    return absl::InvalidArgumentError(
        absl::StrCat("the column is not a finite number: ", name));
  }
  return value.get<double>();
}

absl::Status ReadNumbers(const base::Json& row, const std::string& name,
                         ParsedExample& example) {
  const auto found = row.find(name);
  if (found == row.end() || found->is_null()) {
    return absl::InvalidArgumentError(
        absl::StrCat("the column is missing: ", name));
  }
  // A response that was left out stands in a list nevertheless.
  const size_t in_row = example.responses.size() + example.dropped.size();
  if (found->is_array() && found->size() != in_row) {
    return absl::InvalidArgumentError(
        absl::StrCat("the column is a list of ", found->size(), " for ", in_row,
                     " responses: ", name));
  }
  for (ParsedResponse& response : example.responses) {
    const base::Json& value =
        found->is_array() ? (*found)[response.place] : *found;
    ASSIGN_OR_RETURN(const double number, Number(value, name));
    response.numbers.push_back(number);
  }
  return absl::OkStatus();
}

}  // namespace

absl::Status CheckKeptColumns(const KeptColumns& kept) {
  std::set<std::string> seen;
  for (const auto* names : {&kept.numbers, &kept.texts}) {
    for (const std::string& name : *names) {
      if (!name.empty() && seen.insert(name).second) continue;
      return absl::InvalidArgumentError(absl::StrCat(
          "a column to keep has no name, or is given twice: ", name));
    }
  }
  return absl::OkStatus();
}

absl::Status ReadKeptColumns(const base::Json& row, const KeptColumns& kept,
                             ParsedExample& example) {
  for (const std::string& name : kept.numbers) {
    RETURN_IF_ERROR(ReadNumbers(row, name, example));
  }
  for (const std::string& name : kept.texts) {
    ASSIGN_OR_RETURN(example.texts.emplace_back(),
                     TextField(row, name.c_str()));
  }
  return absl::OkStatus();
}

}  // namespace varalign::data
