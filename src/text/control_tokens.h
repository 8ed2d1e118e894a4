// The tokens of a model that are no text: what begins what it reads and ends
// what it writes.
#ifndef VARALIGN_TEXT_CONTROL_TOKENS_H_
#define VARALIGN_TEXT_CONTROL_TOKENS_H_

#include <cstdint>
#include <filesystem>
#include <optional>
#include <vector>

#include "absl/status/statusor.h"
#include "text/tokenizer.h"

namespace varalign::text {

struct ControlTokens {
  std::optional<uint32_t> bos;
  // The tokenizer puts BOS before every text by itself.
  bool adds_bos = false;
  // BOS is no more than a mark that the chat template writes at each turn, or
  // it ends responses too: it may stand inside a row.
  bool bos_repeats = false;
  // Any of them ends a response: eos_token of tokenizer_config.json first, then
  // eos_token_id of generation_config.json and config.json, a number or a list.
  std::vector<uint32_t> ends;
  // None where it is one of the above.
  std::optional<uint32_t> padding;
};

// InvalidArgument names a file that does not parse. Files may be absent.
absl::StatusOr<ControlTokens> ReadControlTokens(
    const std::filesystem::path& model, const Tokenizer& tokenizer);

}  // namespace varalign::text

#endif  // VARALIGN_TEXT_CONTROL_TOKENS_H_
