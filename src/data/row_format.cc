#include "data/row_format.h"

#include <algorithm>
#include <array>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "base/status_macros.h"
#include "base/string_view.h"
#include "data/row_fields.h"
#include "data/row_pair.h"
#include "data/transcript.h"

namespace varalign::data {
namespace {

constexpr std::array<std::pair<std::string_view, RowFormat>, 5> kFormats = {{
    {"hh", RowFormat::kHh},
    {"preference", RowFormat::kPreference},
    {"groups", RowFormat::kGroups},
    {"sft", RowFormat::kSft},
    {"offsetbias", RowFormat::kOffsetBias},
}};

bool IsText(const base::Json& row, const char* name) {
  return row.contains(name) && row[name].is_string();
}

bool HoldsTranscript(const base::Json& row, const char* name) {
  return IsText(row, name) &&
         IsTranscript(row[name].get_ref<const std::string&>());
}

absl::Status Refuse(std::string_view reason) {
  return absl::InvalidArgumentError(base::ToAbsl(reason));
}

// The value of `column` for each response; `column` may be absent.
absl::Status FillColumn(const base::Json& row, const char* column,
                        const char* field, std::vector<base::Json>& responses) {
  const auto found = row.find(column);
  if (found == row.end() || found->is_null()) return absl::OkStatus();
  if (!found->is_array() || found->size() != responses.size()) {
    return Refuse(absl::StrCat(column, " is not a list as long as responses"));
  }
  for (size_t k = 0; k < responses.size(); ++k) {
    if ((*found)[k].is_null()) {
      return Refuse(absl::StrCat(column, " is null for response ", k));
    }
    responses[k][field] = (*found)[k];
  }
  return absl::OkStatus();
}

absl::StatusOr<ParsedResponse> GroupResponse(const base::Json& fields,
                                             size_t k) {
  ParsedResponse response;
  const std::string name = absl::StrCat("response ", k);
  ASSIGN_OR_RETURN(response.text, ResponseText(fields["text"], name));
  ASSIGN_OR_RETURN(response.reward, NumberField(fields, "reward"));
  ASSIGN_OR_RETURN(response.logprob_sum, NumberField(fields, "logprob_sum"));
  ASSIGN_OR_RETURN(const std::optional<double> tokens,
                   NumberField(fields, "num_tokens"));
  if (tokens.has_value()) {
    if (*tokens < 1 || *tokens > 4e9) return Refuse("num_tokens is no count");
    response.num_tokens = static_cast<uint32_t>(*tokens);
  }
  return response;
}

absl::StatusOr<ParsedExample> ParseGroup(const base::Json& row) {
  ParsedExample example;
  RETURN_IF_ERROR(ReadPrompt(row, example));
  const auto found = row.find("responses");
  if (found == row.end() || !found->is_array() || found->empty()) {
    return Refuse("responses is not a list of one or more");
  }
  std::vector<base::Json> fields;
  for (const base::Json& text : *found) fields.push_back({{"text", text}});
  RETURN_IF_ERROR(FillColumn(row, "rewards", "reward", fields));
  RETURN_IF_ERROR(FillColumn(row, "logprob_sums", "logprob_sum", fields));
  RETURN_IF_ERROR(FillColumn(row, "num_tokens", "num_tokens", fields));
  for (size_t k = 0; k < fields.size(); ++k) {
    absl::StatusOr<ParsedResponse> response = GroupResponse(fields[k], k);
    if (response.ok()) {
      response->place = static_cast<uint32_t>(k);
      example.responses.push_back(*std::move(response));
    } else {
      example.dropped.emplace_back(response.status().message());
    }
  }
  if (!example.dropped.empty() && example.responses.size() < 2) {
    return Refuse(example.dropped.front());
  }
  return example;
}

absl::StatusOr<ParsedExample> ParseSft(const base::Json& row) {
  ParsedExample example;
  ParsedResponse& response = example.responses.emplace_back();
  if (row.contains("completion")) {
    RETURN_IF_ERROR(ReadPrompt(row, example));
    ASSIGN_OR_RETURN(response.text,
                     ResponseText(row["completion"], "completion"));
    return example;
  }
  const auto found = row.find("messages");
  if (found == row.end()) return Refuse("messages is missing");
  ASSIGN_OR_RETURN(example.messages, TurnsOf(*found, "messages"));
  if (example.messages.empty() || example.messages.back().role != "assistant") {
    return Refuse("messages does not end with an assistant turn");
  }
  response.text = std::move(example.messages.back().content);
  example.messages.pop_back();
  RETURN_IF_ERROR(CheckResponse(response.text, "the last turn"));
  RETURN_IF_ERROR(CheckPromptTurns(example.messages));
  return example;
}

}  // namespace

absl::StatusOr<RowFormat> RowFormatNamed(std::string_view name) {
  for (const auto& [known, format] : kFormats) {
    if (known == name) return format;
  }
  return Refuse(absl::StrCat(
      "no such format, there are hh, preference, groups, sft, offsetbias: ",
      base::ToAbsl(name)));
}

std::string_view NameOf(RowFormat format) {
  for (const auto& [name, known] : kFormats) {
    if (known == format) return name;
  }
  return "unknown";
}

absl::StatusOr<RowFormat> DetectFormat(const base::Json& row) {
  if (!row.is_object()) return Refuse("the row is not a JSON object");
  const auto has = [&](const char* name) { return row.contains(name); };
  if (has("chosen") && has("rejected")) {
    const bool transcript = has("prompt")
                                ? HoldsTranscript(row, "prompt")
                                : HoldsTranscript(row, "chosen") ||
                                      HoldsTranscript(row, "rejected");
    return transcript ? RowFormat::kHh : RowFormat::kPreference;
  }
  if (has("responses")) return RowFormat::kGroups;
  if (has("output_1") && has("output_2")) return RowFormat::kOffsetBias;
  if (has("messages") || (has("prompt") && has("completion"))) {
    return RowFormat::kSft;
  }
  std::vector<std::string> names;
  for (const auto& item : row.items()) names.push_back(item.key());
  names.resize(std::min<size_t>(names.size(), 12));
  return Refuse(absl::StrCat(
      "no format has these columns; name them with --columns OURS=THEIRS: ",
      absl::StrJoin(names, ", ").substr(0, 200)));
}

std::string DescribeRow(const base::Json& row, RowFormat format) {
  const bool prompt = row.contains("prompt") || row.contains("messages");
  const char* place = prompt ? "explicit prompt" : "implicit prompt";
  const bool text = IsText(row, "prompt") || (!prompt && IsText(row, "chosen"));
  const char* kind = text ? "plain text" : "conversational";
  switch (format) {
    case RowFormat::kHh:
      return absl::StrCat("preference, conversational, ", place,
                          ", hh transcripts");
    case RowFormat::kPreference:
      return absl::StrCat("preference, ", kind, ", ", place);
    case RowFormat::kGroups:
      return absl::StrCat(
          row.contains("rewards") ? "scored groups, " : "groups, ", kind);
    case RowFormat::kSft:
      return absl::StrCat("sft, ", kind);
    case RowFormat::kOffsetBias:
      return "offsetbias, conversational, explicit prompt";
  }
  return "unknown";
}

absl::StatusOr<ParsedExample> ParseRow(const base::Json& row,
                                       RowFormat format) {
  if (!row.is_object()) return Refuse("the row is not a JSON object");
  switch (format) {
    case RowFormat::kHh:
      return ParseHhPair(row);
    case RowFormat::kPreference:
      return ParsePreferencePair(row);
    case RowFormat::kGroups:
      return ParseGroup(row);
    case RowFormat::kSft:
      return ParseSft(row);
    case RowFormat::kOffsetBias:
      return ParseOffsetBiasPair(row);
  }
  return absl::InternalError("unknown row format");
}

}  // namespace varalign::data
