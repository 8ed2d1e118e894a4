#include "cli/inspect_rows.h"

#include <algorithm>
#include <utility>

#include "absl/strings/str_cat.h"
#include "base/exit_code.h"
#include "base/logging.h"
#include "base/status_macros.h"
#include "cli/prepare_row.h"
#include "data/dataset.h"

namespace varalign::cli {

absl::StatusOr<std::vector<InspectedRow>> InspectDataset(
    const std::filesystem::path& directory, const ExampleEncoder& encoder,
    uint64_t count) {
  ASSIGN_OR_RETURN(const data::Dataset dataset, data::Dataset::Open(directory));
  if (dataset.manifest().policy_view().tokenizer_sha256() !=
      encoder.tokenizer().tokenizer_sha256()) {
    return base::WithExitCode(
        absl::FailedPreconditionError(
            absl::StrCat("the data set was prepared for another tokenizer: ",
                         directory.string())),
        base::kExitBadData);
  }
  std::vector<InspectedRow> rows;
  for (uint64_t i = 0; i < dataset.num_examples() && rows.size() < count; ++i) {
    const data::ExampleView example = dataset.example(i);
    for (const data::RowView& view : example.rows) {
      if (rows.size() == count) break;
      InspectedRow& row = rows.emplace_back();
      row.index = rows.size() - 1;
      row.prompt.assign(example.prompt.begin(), example.prompt.end());
      row.response.assign(view.response.begin(), view.response.end());
    }
  }
  return rows;
}

absl::StatusOr<std::vector<InspectedRow>> InspectFile(
    const std::filesystem::path& file, const ExampleEncoder& encoder,
    uint64_t count) {
  ASSIGN_OR_RETURN(data::RowSource source, data::RowSource::Open(file));
  const ExampleEncoder* const encoders[] = {&encoder};
  std::vector<InspectedRow> rows;
  absl::Status first_refusal;
  while (rows.size() < count) {
    ASSIGN_OR_RETURN(const std::optional<data::SourceLine> line, source.Next());
    if (!line.has_value()) break;
    PreparedRow prepared = PrepareRow(*line, std::nullopt, encoders, {});
    first_refusal.Update(prepared.status);
    if (!prepared.status.ok()) continue;
    for (data::NewRow& response : prepared.example.rows) {
      if (rows.size() == count) break;
      rows.push_back(
          {rows.size(), prepared.example.prompt, std::move(response.response)});
    }
  }
  if (rows.empty() && count > 0) {
    return absl::InvalidArgumentError(absl::StrCat(
        "no row can be used: ", file.string(), ": ",
        first_refusal.ok() ? "the file is empty" : first_refusal.message()));
  }
  return rows;
}

absl::StatusOr<base::Json> InspectedJson(const InspectedRow& row,
                                         const text::Tokenizer& tokenizer) {
  std::vector<uint32_t> ids = row.prompt;
  ids.insert(ids.end(), row.response.begin(), row.response.end());
  std::vector<int> mask(row.prompt.size(), 0);
  mask.resize(ids.size(), 1);
  ASSIGN_OR_RETURN(const std::string text,
                   tokenizer.Decode(ids, text::SpecialText::kKeep));
  return base::Json{{"version", 1},
                    {"index", row.index},
                    {"text", text},
                    {"tokens", ids},
                    {"loss_mask", mask}};
}

absl::StatusOr<std::string> InspectedText(const InspectedRow& row,
                                          const text::Tokenizer& tokenizer,
                                          Marks marks) {
  ASSIGN_OR_RETURN(const std::string prompt,
                   tokenizer.Decode(row.prompt, text::SpecialText::kKeep));
  ASSIGN_OR_RETURN(const std::string response,
                   tokenizer.Decode(row.response, text::SpecialText::kKeep));
  const bool colour = marks == Marks::kColour;
  return absl::StrCat("row ", row.index, ": ", row.prompt.size(),
                      " prompt tokens, ", row.response.size(), " in the loss\n",
                      base::StripControl(prompt), colour ? "\x1b[1;32m" : "[[",
                      base::StripControl(response), colour ? "\x1b[0m" : "]]",
                      "\n");
}

}  // namespace varalign::cli
