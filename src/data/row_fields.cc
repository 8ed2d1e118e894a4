#include "data/row_fields.h"

#include <cmath>
#include <utility>

#include "absl/strings/str_cat.h"
#include "base/status_macros.h"
#include "base/string_view.h"

namespace varalign::data {
namespace {

constexpr size_t kMaxTextBytes = 1u << 20;
constexpr size_t kMaxTurns = 1000;

absl::Status Refuse(std::string_view name, std::string_view reason) {
  return absl::InvalidArgumentError(
      absl::StrCat(base::ToAbsl(name), " ", base::ToAbsl(reason)));
}

absl::StatusOr<Turn> TurnOf(const base::Json& value, std::string_view name) {
  if (!value.is_object() || !value.contains("role") ||
      !value.contains("content")) {
    return Refuse(name, "has a turn without role and content");
  }
  Turn turn;
  ASSIGN_OR_RETURN(turn.role, TextOf(value["role"], "role"));
  ASSIGN_OR_RETURN(turn.content, TextOf(value["content"], "content"));
  if (turn.role != "system" && turn.role != "user" &&
      turn.role != "assistant") {
    return Refuse(name, absl::StrCat("has a role that is not system, user or "
                                     "assistant: ",
                                     turn.role.substr(0, 40)));
  }
  return turn;
}

}  // namespace

absl::StatusOr<std::string> TextOf(const base::Json& value,
                                   std::string_view name) {
  if (!value.is_string()) return Refuse(name, "is not a text");
  const auto& text = value.get_ref<const std::string&>();
  if (text.size() > kMaxTextBytes) return Refuse(name, "is longer than 1 MiB");
  if (text.find('\0') != std::string::npos) {
    return Refuse(name, "holds a NUL character");
  }
  return text;
}

absl::StatusOr<std::string> TextField(const base::Json& row, const char* name) {
  const auto found = row.find(name);
  if (found == row.end()) return Refuse(name, "is missing");
  return TextOf(*found, name);
}

absl::StatusOr<std::vector<Turn>> TurnsOf(const base::Json& value,
                                          std::string_view name) {
  if (!value.is_array()) return Refuse(name, "is not a list of turns");
  if (value.size() > kMaxTurns) return Refuse(name, "has over 1,000 turns");
  std::vector<Turn> turns;
  for (const base::Json& item : value) {
    ASSIGN_OR_RETURN(Turn turn, TurnOf(item, name));
    turns.push_back(std::move(turn));
  }
  return turns;
}

absl::StatusOr<std::optional<double>> NumberField(const base::Json& row,
                                                  const char* name) {
  const auto found = row.find(name);
  if (found == row.end() || found->is_null()) return std::nullopt;
  if (!found->is_number()) return Refuse(name, "is not a number");
  const double value = found->get<double>();
  if (!std::isfinite(value)) return Refuse(name, "is not finite");
  return value;
}

absl::Status CheckPromptTurns(const std::vector<Turn>& turns) {
  const size_t first = !turns.empty() && turns[0].role == "system" ? 1 : 0;
  if (turns.size() == first) return Refuse("the prompt", "has no user turn");
  for (size_t i = first; i < turns.size(); ++i) {
    const bool users = (i - first) % 2 == 0;
    if (turns[i].role == (users ? "user" : "assistant")) continue;
    return Refuse("the prompt",
                  absl::StrCat("has its roles out of order: turn ", i + 1,
                               " is of the ", turns[i].role));
  }
  if (turns.back().role != "user") {
    return Refuse("the prompt", "does not end with a user turn");
  }
  if (turns.back().content.find_first_not_of(" \t\r\n") == std::string::npos) {
    return Refuse("the prompt", "ends with an empty turn");
  }
  return absl::OkStatus();
}

absl::Status CheckResponse(std::string_view text, std::string_view name) {
  if (text.find_first_not_of(" \t\r\n") != std::string_view::npos) {
    return absl::OkStatus();
  }
  return Refuse(name, "is empty");
}

}  // namespace varalign::data
