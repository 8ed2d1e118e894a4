// What every row must satisfy before it is trained on, on ids alone.
#ifndef VARALIGN_DATA_ROW_RULES_H_
#define VARALIGN_DATA_ROW_RULES_H_

#include <cstdint>
#include <optional>
#include <span>
#include <vector>

#include "absl/status/status.h"

namespace varalign::data {

// Of one model. What is left at its default is not asked for.
struct RowRules {
  uint32_t vocabulary_size = UINT32_MAX;  // ids are below
  uint64_t max_tokens = UINT64_MAX;       // of prompt and response
  std::optional<uint32_t> bos;            // never twice at the start
  bool begins_with_bos = false;
  bool bos_may_repeat = false;  // inside a row
  std::vector<uint32_t> ends;   // every response holds one, not as its first
  std::optional<uint32_t> padding;  // no row holds it
};

// InvalidArgument with the reason.
absl::Status CheckPrompt(const RowRules& rules,
                         std::span<const uint32_t> prompt);
absl::Status CheckResponse(const RowRules& rules,
                           std::span<const uint32_t> response);
// Both, and the length.
absl::Status CheckRow(const RowRules& rules, std::span<const uint32_t> prompt,
                      std::span<const uint32_t> response);

}  // namespace varalign::data

#endif  // VARALIGN_DATA_ROW_RULES_H_
