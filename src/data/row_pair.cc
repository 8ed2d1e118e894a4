#include "data/row_pair.h"

#include <algorithm>
#include <cctype>
#include <optional>
#include <utility>
#include <vector>

#include "base/status_macros.h"
#include "base/string_view.h"
#include "data/row_fields.h"
#include "data/transcript.h"

namespace varalign::data {
namespace {

absl::Status Refuse(std::string_view reason) {
  return absl::InvalidArgumentError(base::ToAbsl(reason));
}

bool operator==(const Turn& a, const Turn& b) {
  return a.role == b.role && a.content == b.content;
}

// Adds the two responses with what the row says of them.
absl::Status AddPair(const base::Json& row, std::string chosen,
                     std::string rejected, ParsedExample& example) {
  RETURN_IF_ERROR(CheckResponse(chosen, "chosen"));
  RETURN_IF_ERROR(CheckResponse(rejected, "rejected"));
  if (chosen == rejected) return Refuse("chosen and rejected are equal");
  ParsedResponse better, worse;
  better.text = std::move(chosen);
  better.role = base::Role::kChosen;
  worse.text = std::move(rejected);
  worse.role = base::Role::kRejected;
  worse.place = 1;
  ASSIGN_OR_RETURN(better.reward, NumberField(row, "score_chosen"));
  ASSIGN_OR_RETURN(worse.reward, NumberField(row, "score_rejected"));
  if (better.reward.has_value() != worse.reward.has_value()) {
    return Refuse("only one of score_chosen and score_rejected is there");
  }
  example.responses = {std::move(better), std::move(worse)};
  return absl::OkStatus();
}

// Two conversations that differ in their last turn, the assistant's.
absl::StatusOr<ParsedExample> SplitConversations(const base::Json& row,
                                                 std::vector<Turn> chosen,
                                                 std::vector<Turn> rejected) {
  for (const std::vector<Turn>* turns : {&chosen, &rejected}) {
    if (turns->empty() || turns->back().role != "assistant") {
      return Refuse(turns == &chosen
                        ? "chosen does not end with an assistant turn"
                        : "rejected does not end with an assistant turn");
    }
  }
  if (!std::equal(chosen.begin(), chosen.end() - 1, rejected.begin(),
                  rejected.end() - 1,
                  [](const Turn& a, const Turn& b) { return a == b; })) {
    return Refuse("chosen and rejected have different prompts");
  }
  ParsedExample example;
  RETURN_IF_ERROR(AddPair(row, std::move(chosen.back().content),
                          std::move(rejected.back().content), example));
  chosen.pop_back();
  example.messages = std::move(chosen);
  RETURN_IF_ERROR(CheckPromptTurns(example.messages));
  return example;
}

bool IsWordByte(const std::string& text, size_t at) {
  return at < text.size() &&
         std::isalnum(static_cast<unsigned char>(text[at])) != 0;
}

// How much of both texts is their prompt: what they begin with, back to the
// start of a word and of a character. A space there belongs to the responses.
size_t SharedPrompt(const std::string& a, const std::string& b) {
  const auto differ = std::mismatch(a.begin(), a.end(), b.begin(), b.end());
  auto shared = static_cast<size_t>(differ.first - a.begin());
  while (shared > 0 && shared < a.size() &&
         (static_cast<unsigned char>(a[shared]) & 0xc0) == 0x80) {
    --shared;
  }
  if (IsWordByte(a, shared) || IsWordByte(b, shared)) {
    while (shared > 0 && IsWordByte(a, shared - 1)) --shared;
  }
  if (shared > 0 && a[shared - 1] == ' ') --shared;
  return shared;
}

absl::StatusOr<ParsedExample> SplitTexts(const base::Json& row,
                                         const std::string& chosen,
                                         const std::string& rejected) {
  const size_t shared = SharedPrompt(chosen, rejected);
  if (chosen.find_first_not_of(" \t\r\n") >= shared) {
    return Refuse("chosen and rejected share no prompt");
  }
  ParsedExample example;
  example.plain_prompt = chosen.substr(0, shared);
  RETURN_IF_ERROR(
      AddPair(row, chosen.substr(shared), rejected.substr(shared), example));
  return example;
}

bool HasPrompt(const base::Json& row) {
  return row.contains("prompt") || row.contains("messages");
}

}  // namespace

absl::Status ReadPrompt(const base::Json& row, ParsedExample& example) {
  const char* name = row.contains("messages") ? "messages" : "prompt";
  const auto found = row.find(name);
  if (found == row.end()) {
    return Refuse(
        "the prompt is missing: give it as \"prompt\" (a text, a transcript or "
        "a list of turns) or as \"messages\" (a list of turns), or name its "
        "column with --columns prompt=NAME");
  }
  if (!found->is_string()) {
    ASSIGN_OR_RETURN(example.messages, TurnsOf(*found, name));
    return CheckPromptTurns(example.messages);
  }
  ASSIGN_OR_RETURN(std::string text, TextOf(*found, name));
  if (!IsTranscript(text)) {
    if (text.empty()) return Refuse("the prompt is empty");
    example.plain_prompt = std::move(text);
    return absl::OkStatus();
  }
  ASSIGN_OR_RETURN(example.messages, SplitTranscript(text));
  // The marker at its end opens the turn of the response.
  if (example.messages.back().role == "assistant" &&
      example.messages.back().content.empty()) {
    example.messages.pop_back();
  }
  return CheckPromptTurns(example.messages);
}

absl::StatusOr<std::string> ResponseText(const base::Json& value,
                                         std::string_view name) {
  std::string text;
  if (value.is_array()) {
    ASSIGN_OR_RETURN(std::vector<Turn> turns, TurnsOf(value, name));
    if (turns.size() != 1 || turns[0].role != "assistant") {
      return Refuse(std::string(name) + " is not one assistant turn");
    }
    text = std::move(turns[0].content);
  } else {
    ASSIGN_OR_RETURN(text, TextOf(value, name));
  }
  RETURN_IF_ERROR(CheckResponse(text, name));
  return text;
}

absl::StatusOr<ParsedExample> ParseHhPair(const base::Json& row) {
  if (HasPrompt(row)) return ParsePreferencePair(row);
  ASSIGN_OR_RETURN(const std::string chosen, TextField(row, "chosen"));
  ASSIGN_OR_RETURN(const std::string rejected, TextField(row, "rejected"));
  ASSIGN_OR_RETURN(std::vector<Turn> better, SplitTranscript(chosen));
  ASSIGN_OR_RETURN(std::vector<Turn> worse, SplitTranscript(rejected));
  return SplitConversations(row, std::move(better), std::move(worse));
}

absl::StatusOr<ParsedExample> ParsePreferencePair(const base::Json& row) {
  if (!row.contains("chosen")) return Refuse("chosen is missing");
  if (!row.contains("rejected")) return Refuse("rejected is missing");
  const base::Json& chosen = row["chosen"];
  const base::Json& rejected = row["rejected"];
  // Some sets have the whole conversation in both, and a copy of its prompt.
  const bool whole = chosen.is_array() && chosen.size() > 1;
  if (HasPrompt(row) && !whole) {
    ParsedExample example;
    RETURN_IF_ERROR(ReadPrompt(row, example));
    ASSIGN_OR_RETURN(std::string better, ResponseText(chosen, "chosen"));
    ASSIGN_OR_RETURN(std::string worse, ResponseText(rejected, "rejected"));
    RETURN_IF_ERROR(AddPair(row, std::move(better), std::move(worse), example));
    return example;
  }
  if (chosen.is_array()) {
    ASSIGN_OR_RETURN(std::vector<Turn> better, TurnsOf(chosen, "chosen"));
    ASSIGN_OR_RETURN(std::vector<Turn> worse, TurnsOf(rejected, "rejected"));
    return SplitConversations(row, std::move(better), std::move(worse));
  }
  ASSIGN_OR_RETURN(const std::string better, TextOf(chosen, "chosen"));
  ASSIGN_OR_RETURN(const std::string worse, TextOf(rejected, "rejected"));
  return SplitTexts(row, better, worse);
}

absl::StatusOr<ParsedExample> ParseOffsetBiasPair(const base::Json& row) {
  ParsedExample example;
  ASSIGN_OR_RETURN(std::string instruction, TextField(row, "instruction"));
  example.messages.push_back({"user", std::move(instruction)});
  RETURN_IF_ERROR(CheckPromptTurns(example.messages));
  ASSIGN_OR_RETURN(std::string first, TextField(row, "output_1"));
  ASSIGN_OR_RETURN(std::string second, TextField(row, "output_2"));
  ASSIGN_OR_RETURN(const std::optional<double> label,
                   NumberField(row, "label"));
  if (label != 1.0 && label != 2.0) return Refuse("label is not 1 or 2");
  if (label == 2.0) std::swap(first, second);
  RETURN_IF_ERROR(AddPair(row, std::move(first), std::move(second), example));
  // In lists of the row output_1 comes first.
  if (label == 2.0) {
    std::swap(example.responses[0].place, example.responses[1].place);
  }
  return example;
}

}  // namespace varalign::data
