#include "cli/score_rows.h"

#include <algorithm>
#include <utility>

#include "absl/status/status.h"
#include "absl/strings/str_cat.h"
#include "base/json.h"
#include "base/status_macros.h"
#include "cli/prepare_fit.h"
#include "cli/prepare_row.h"
#include "data/manifest.h"
#include "data/row_format.h"

namespace varalign::cli {
namespace {

namespace fs = std::filesystem;

absl::StatusOr<std::vector<uint32_t>> IdsField(const base::Json& row,
                                               const char* name) {
  const auto found = row.find(name);
  if (found == row.end() || !found->is_array() || found->empty()) {
    return absl::InvalidArgumentError(
        absl::StrCat(name, " must be a list of one token id or more"));
  }
  std::vector<uint32_t> ids;
  for (const base::Json& value : *found) {
    if (!value.is_number_unsigned() || value.get<uint64_t>() > UINT32_MAX) {
      return absl::InvalidArgumentError(absl::StrCat(
          name,
          " holds what is no token id: ", base::DumpJson(value).substr(0, 40)));
    }
    ids.push_back(static_cast<uint32_t>(value.get<uint64_t>()));
  }
  return ids;
}

absl::StatusOr<ScoreExample> FromIds(const base::Json& row) {
  ScoreExample example;
  ASSIGN_OR_RETURN(example.prompt.ids, IdsField(row, "prompt_ids"));
  ASSIGN_OR_RETURN(example.responses.emplace_back().ids,
                   IdsField(row, "response_ids"));
  return example;
}

ScoreExample WithoutIds(data::ParsedExample parsed) {
  ScoreExample example;
  example.responses.resize(parsed.responses.size());
  example.text = std::move(parsed);
  return example;
}

absl::StatusOr<ScoreExample> FromText(const base::Json& row,
                                      const RowReader& reader) {
  const std::vector<const ExampleEncoder*> views = reader.encoders.views();
  if (views.empty() && !reader.text_alone) {
    return absl::InvalidArgumentError(
        "the row is text: give --policy or --reward with a tokenizer");
  }
  ASSIGN_OR_RETURN(const data::RowFormat format, data::DetectFormat(row));
  ASSIGN_OR_RETURN(data::ParsedExample parsed, data::ParseRow(row, format));
  RETURN_IF_ERROR(data::ReadKeptColumns(row, reader.kept, parsed));
  if (views.empty()) return WithoutIds(std::move(parsed));
  ASSIGN_OR_RETURN(FittedExample fitted, FitExample(views, std::move(parsed)));
  ScoreExample example;
  EncodedExample& first = fitted.views.front();
  EncodedExample& last = fitted.views.back();
  const bool two_views = fitted.views.size() > 1;
  if (two_views) example.prompt.reward_ids = std::move(last.prompt);
  example.prompt.ids = std::move(first.prompt);
  for (size_t k = 0; k < first.responses.size(); ++k) {
    TextIds& response = example.responses.emplace_back();
    if (two_views) response.reward_ids = std::move(last.responses[k]);
    response.ids = std::move(first.responses[k]);
  }
  example.text = std::move(fitted.example);
  return example;
}

absl::StatusOr<ScoreExample> FromLine(const data::SourceLine& line,
                                      const RowReader& reader) {
  ASSIGN_OR_RETURN(const base::Json row, ReadRow(line, {}));
  if (row.is_object() && row.contains("prompt_ids")) return FromIds(row);
  return FromText(row, reader);
}

size_t NumTokens(const ScoreExample& example) {
  size_t tokens = 0;
  for (const TextIds& response : example.responses) {
    tokens += example.prompt.ids.size() + response.ids.size();
  }
  return std::max(tokens, example.responses.size());
}

absl::StatusOr<std::optional<ExampleEncoder>> LoadEncoder(
    const std::string& directory) {
  if (directory.empty() ||
      !fs::exists(fs::path(directory) / "tokenizer.json")) {
    return std::nullopt;
  }
  ASSIGN_OR_RETURN(ExampleEncoder encoder, ExampleEncoder::Load(directory));
  return std::optional<ExampleEncoder>(std::move(encoder));
}

}  // namespace

std::vector<const ExampleEncoder*> RowEncoders::views() const {
  std::vector<const ExampleEncoder*> views;
  if (policy.has_value()) views.push_back(&*policy);
  if (!reward.has_value()) return views;
  if (policy.has_value() && data::SameText(policy->View(), reward->View())) {
    return views;
  }
  views.push_back(&*reward);
  return views;
}

absl::StatusOr<RowEncoders> LoadEncoders(const std::string& policy,
                                         const std::string& reward) {
  RowEncoders encoders;
  ASSIGN_OR_RETURN(encoders.policy, LoadEncoder(policy));
  ASSIGN_OR_RETURN(encoders.reward, LoadEncoder(reward));
  return encoders;
}

absl::StatusOr<ScoreRows> ScoreRows::Open(const fs::path& path,
                                          const RowReader& reader) {
  ASSIGN_OR_RETURN(data::RowSource source, data::RowSource::Open(path));
  return ScoreRows(std::move(source), reader);
}

uint64_t ScoreRows::max_length() const {
  uint64_t limit = UINT64_MAX;
  for (const ExampleEncoder* encoder : reader_.encoders.views()) {
    limit = std::min(limit, encoder->max_length());
  }
  return limit;
}

absl::StatusOr<std::vector<ScoreExample>> ScoreRows::Next(size_t max_tokens) {
  std::vector<ScoreExample> examples;
  size_t tokens = 0;
  while (tokens < max_tokens) {
    ASSIGN_OR_RETURN(const std::optional<data::SourceLine> line,
                     source_.Next());
    if (!line.has_value()) break;
    absl::StatusOr<ScoreExample> example = FromLine(*line, reader_);
    if (example.ok()) {
      example->example = num_rows_;
      tokens += NumTokens(*example);
      examples.push_back(*std::move(example));
    } else {
      auto& aside =
          absl::IsOutOfRange(example.status()) ? too_long_ : rejected_;
      aside.push_back({line->number, std::string(example.status().message())});
    }
    ++num_rows_;
  }
  return examples;
}

}  // namespace varalign::cli
