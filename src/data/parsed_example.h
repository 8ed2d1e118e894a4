// An example as it stands in a user's file, before any tokenizer has seen it.
#ifndef VARALIGN_DATA_PARSED_EXAMPLE_H_
#define VARALIGN_DATA_PARSED_EXAMPLE_H_

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "base/role.h"

namespace varalign::data {

// One turn of a conversation.
struct Turn {
  std::string role;  // "system", "user", "assistant"
  std::string content;
};

struct ParsedResponse {
  std::string text;
  std::optional<double> reward;
  std::optional<double> logprob_sum;
  std::optional<uint32_t> num_tokens;
  uint32_t place = 0;           // among the responses of the row
  std::vector<double> numbers;  // of KeptColumns::numbers
  base::Role role = base::Role::kUnknown;
};

struct ParsedExample {
  // The conversation up to the responses: a system turn or none, then user and
  // assistant in turn, a user at both ends. Empty where `plain_prompt` is set.
  std::vector<Turn> messages;
  // A prompt that is no conversation: responses go on where it stops.
  std::optional<std::string> plain_prompt;
  std::vector<ParsedResponse> responses;  // K >= 1, none of them empty
  std::vector<std::string> texts;         // of KeptColumns::texts
  // Responses left out of a group because they were not valid, with reasons.
  std::vector<std::string> dropped;
};

}  // namespace varalign::data

#endif  // VARALIGN_DATA_PARSED_EXAMPLE_H_
