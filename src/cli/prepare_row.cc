#include "cli/prepare_row.h"

#include <utility>

#include "absl/strings/str_cat.h"
#include "base/status_macros.h"
#include "cli/prepare_fit.h"
#include "data/kept_columns.h"

namespace varalign::cli {
namespace {

using Encoders = std::span<const ExampleEncoder* const>;

data::NewExample ToNewExample(FittedExample fitted) {
  data::NewExample example;
  const bool reward_view = fitted.views.size() > 1;
  example.texts = std::move(fitted.example.texts);
  example.prompt = std::move(fitted.views[0].prompt);
  if (reward_view) example.reward_prompt = std::move(fitted.views[1].prompt);
  for (size_t k = 0; k < fitted.example.responses.size(); ++k) {
    const data::ParsedResponse& response = fitted.example.responses[k];
    data::NewRow row;
    row.response = std::move(fitted.views[0].responses[k]);
    if (reward_view) {
      row.reward_response = std::move(fitted.views[1].responses[k]);
    }
    row.reward = response.reward;
    row.logprob_sum = response.logprob_sum;
    row.role = response.role;
    row.numbers = response.numbers;
    example.rows.push_back(std::move(row));
  }
  return example;
}

absl::Status Fill(const data::SourceLine& line,
                  std::optional<data::RowFormat> format, Encoders encoders,
                  const PrepareOptions& options, PreparedRow& row) {
  ASSIGN_OR_RETURN(const base::Json json, ReadRow(line, options.columns));
  if (!format.has_value()) {
    ASSIGN_OR_RETURN(format, data::DetectFormat(json));
  }
  ASSIGN_OR_RETURN(data::ParsedExample parsed, data::ParseRow(json, *format));
  RETURN_IF_ERROR(data::ReadKeptColumns(json, options.kept, parsed));
  row.dropped = std::move(parsed.dropped);
  ASSIGN_OR_RETURN(FittedExample fitted,
                   FitExample(encoders, std::move(parsed)));
  row.truncated = fitted.num_turns_cut > 0;
  row.num_unstable = fitted.views[0].num_unstable;
  if (row.num_unstable > 0 &&
      options.boundary == PrepareOptions::Boundary::kReject) {
    return absl::InvalidArgumentError(
        "the ids change where prompt and response meet");
  }
  row.dropped.insert(row.dropped.end(), fitted.num_responses_cut,
                     "a response is too long");
  row.example = ToNewExample(std::move(fitted));
  return absl::OkStatus();
}

}  // namespace

absl::StatusOr<base::Json> ReadRow(const data::SourceLine& line,
                                   const data::RowColumns& columns) {
  RETURN_IF_ERROR(line.readable);
  absl::StatusOr<base::Json> row = base::ParseJson(line.text);
  if (!row.ok()) {
    return absl::InvalidArgumentError(
        absl::StrCat("not valid JSON: ", row.status().message()));
  }
  return data::RenameColumns(*std::move(row), columns);
}

PreparedRow PrepareRow(const data::SourceLine& line,
                       std::optional<data::RowFormat> format, Encoders encoders,
                       const PrepareOptions& options) {
  PreparedRow row;
  row.status = Fill(line, format, encoders, options, row);
  return row;
}

}  // namespace varalign::cli
