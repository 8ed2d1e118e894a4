#include "data/row_rules.h"

#include <algorithm>

#include "absl/strings/str_cat.h"
#include "base/status_macros.h"

namespace varalign::data {
namespace {

absl::Status Refuse(absl::string_view reason) {
  return absl::InvalidArgumentError(reason);
}

bool Holds(std::span<const uint32_t> ids, std::optional<uint32_t> id) {
  return id.has_value() && std::find(ids.begin(), ids.end(), *id) != ids.end();
}

absl::Status CheckVocabulary(const RowRules& rules,
                             std::span<const uint32_t> ids) {
  const uint32_t largest = *std::max_element(ids.begin(), ids.end());
  if (largest < rules.vocabulary_size) return absl::OkStatus();
  return Refuse(absl::StrCat("a token is beyond the model's vocabulary of ",
                             rules.vocabulary_size, ": ", largest));
}

}  // namespace

absl::Status CheckPrompt(const RowRules& rules,
                         std::span<const uint32_t> prompt) {
  if (prompt.empty()) return Refuse("the prompt has no token");
  RETURN_IF_ERROR(CheckVocabulary(rules, prompt));
  if (rules.begins_with_bos && prompt.front() != rules.bos) {
    return Refuse("the prompt does not begin with BOS");
  }
  if (prompt.size() > 1 && prompt[0] == rules.bos && prompt[1] == rules.bos) {
    return Refuse("the prompt has BOS twice");
  }
  if (!rules.bos_may_repeat && Holds(prompt.subspan(1), rules.bos)) {
    return Refuse("BOS stands inside the prompt");
  }
  if (Holds(prompt, rules.padding)) {
    return Refuse("the prompt holds the padding token");
  }
  return absl::OkStatus();
}

absl::Status CheckResponse(const RowRules& rules,
                           std::span<const uint32_t> response) {
  if (response.empty()) return Refuse("the response has no token");
  RETURN_IF_ERROR(CheckVocabulary(rules, response));
  const auto end = std::find_first_of(response.begin(), response.end(),
                                      rules.ends.begin(), rules.ends.end());
  if (!rules.ends.empty()) {
    if (end == response.begin()) return Refuse("the response has no token");
    if (end == response.end()) {
      return Refuse("the response has no end token, so none would be trained");
    }
  }
  if (!rules.bos_may_repeat && Holds(response, rules.bos)) {
    return Refuse("BOS stands inside the response");
  }
  if (Holds(response, rules.padding)) {
    return Refuse("the response holds the padding token");
  }
  return absl::OkStatus();
}

absl::Status CheckRow(const RowRules& rules, std::span<const uint32_t> prompt,
                      std::span<const uint32_t> response) {
  RETURN_IF_ERROR(CheckPrompt(rules, prompt));
  RETURN_IF_ERROR(CheckResponse(rules, response));
  const uint64_t length = prompt.size() + response.size();
  if (length <= rules.max_tokens) return absl::OkStatus();
  return Refuse(absl::StrCat("the row is longer than the model's ",
                             rules.max_tokens, " positions: ", length,
                             " tokens"));
}

}  // namespace varalign::data
