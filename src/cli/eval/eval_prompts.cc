#include "cli/eval/eval_prompts.h"

#include <optional>
#include <utility>

#include "absl/strings/str_cat.h"
#include "base/status_macros.h"
#include "cli/prepare_row.h"
#include "data/row_fields.h"
#include "data/row_format.h"
#include "data/row_source.h"

namespace varalign::cli {
namespace {

base::Json MessagesJson(const std::vector<data::Turn>& turns) {
  base::Json messages = base::Json::array();
  for (const data::Turn& turn : turns) {
    messages.push_back({{"role", turn.role}, {"content", turn.content}});
  }
  return {{"messages", std::move(messages)}};
}

// Has columns that make it a row of responses.
bool HasResponses(const base::Json& row) {
  for (const char* name : {"chosen", "responses", "completion", "output_1"}) {
    if (row.contains(name)) return true;
  }
  return false;
}

// A conversation that ends with the user, or whose last answer is left out.
absl::StatusOr<base::Json> OpenConversation(const base::Json& row) {
  ASSIGN_OR_RETURN(std::vector<data::Turn> turns,
                   data::TurnsOf(row["messages"], "messages"));
  if (!turns.empty() && turns.back().role == "assistant") turns.pop_back();
  RETURN_IF_ERROR(data::CheckPromptTurns(turns));
  return MessagesJson(turns);
}

}  // namespace

absl::StatusOr<base::Json> PromptOfRow(const base::Json& row) {
  if (!row.is_object()) {
    return absl::InvalidArgumentError("the row is no JSON object");
  }
  if (row.contains("prompt_ids")) {
    return base::Json{{"prompt_ids", row["prompt_ids"]}};
  }
  if (!HasResponses(row)) {
    if (row.contains("messages")) return OpenConversation(row);
    if (row.contains("prompt") && row["prompt"].is_string()) {
      return base::Json{{"prompt", row["prompt"]}};
    }
  }
  ASSIGN_OR_RETURN(const data::RowFormat format, data::DetectFormat(row));
  ASSIGN_OR_RETURN(const data::ParsedExample example,
                   data::ParseRow(row, format));
  if (example.plain_prompt.has_value()) {
    return base::Json{{"prompt", *example.plain_prompt}};
  }
  return MessagesJson(example.messages);
}

absl::StatusOr<std::vector<base::Json>> ReadEvalPrompts(
    const std::filesystem::path& file, size_t max_prompts) {
  ASSIGN_OR_RETURN(data::RowSource source, data::RowSource::Open(file));
  std::vector<base::Json> prompts;
  while (max_prompts == 0 || prompts.size() < max_prompts) {
    ASSIGN_OR_RETURN(const std::optional<data::SourceLine> line, source.Next());
    if (!line.has_value()) break;
    absl::StatusOr<base::Json> prompt = ReadRow(*line, {});
    if (prompt.ok()) prompt = PromptOfRow(*prompt);
    if (!prompt.ok()) {
      return absl::Status(prompt.status().code(),
                          absl::StrCat(file.string(), ":", line->number, ": ",
                                       prompt.status().message()));
    }
    prompts.push_back(*std::move(prompt));
  }
  if (!prompts.empty()) return prompts;
  return absl::InvalidArgumentError(absl::StrCat("no rows in ", file.string()));
}

absl::StatusOr<data::ParsedExample> WithResponse(const base::Json& prompt,
                                                 const std::string& response) {
  data::ParsedExample example;
  if (prompt.contains("messages")) {
    ASSIGN_OR_RETURN(example.messages,
                     data::TurnsOf(prompt["messages"], "messages"));
  } else {
    ASSIGN_OR_RETURN(example.plain_prompt, data::TextField(prompt, "prompt"));
  }
  RETURN_IF_ERROR(data::CheckResponse(response, "the response"));
  example.responses.emplace_back().text = response;
  return example;
}

}  // namespace varalign::cli
