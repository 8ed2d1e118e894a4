#include "data/transcript.h"

#include <algorithm>

#include "absl/status/status.h"
#include "absl/strings/str_cat.h"

namespace varalign::data {
namespace {

constexpr std::string_view kHuman = "\n\nHuman:";
constexpr std::string_view kAssistant = "\n\nAssistant:";

std::string_view Strip(std::string_view text) {
  constexpr std::string_view kSpace = " \t\r\n\v\f";
  const size_t first = text.find_first_not_of(kSpace);
  if (first == std::string_view::npos) return {};
  return text.substr(first, text.find_last_not_of(kSpace) - first + 1);
}

size_t NextMarker(std::string_view text, size_t from) {
  return std::min(text.find(kHuman, from), text.find(kAssistant, from));
}

}  // namespace

bool IsTranscript(std::string_view text) {
  return text.starts_with(kHuman) || text.starts_with(kAssistant);
}

absl::StatusOr<std::vector<Turn>> SplitTranscript(std::string_view text) {
  if (!IsTranscript(text)) {
    return absl::InvalidArgumentError(
        "the transcript does not start with a turn of Human or Assistant");
  }
  std::vector<Turn> turns;
  for (size_t at = 0; at < text.size();) {
    const bool human = text.substr(at).starts_with(kHuman);
    const size_t start = at + (human ? kHuman : kAssistant).size();
    const size_t end = std::min(NextMarker(text, start), text.size());
    turns.push_back({human ? "user" : "assistant",
                     std::string(Strip(text.substr(start, end - start)))});
    at = end;
  }
  return turns;
}

std::string JoinTranscript(std::span<const Turn> messages) {
  std::string text;
  for (const Turn& turn : messages) {
    if (turn.role == "system") {
      text += turn.content;
    } else {
      absl::StrAppend(&text,
                      turn.role == "user" ? "\n\nHuman: " : "\n\nAssistant: ",
                      turn.content);
    }
  }
  text += kAssistant;
  return text;
}

}  // namespace varalign::data
