// The prompts that `generate` reads.
#ifndef VARALIGN_CLI_GENERATE_ROWS_H_
#define VARALIGN_CLI_GENERATE_ROWS_H_

#include <cstdint>
#include <filesystem>
#include <optional>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "base/json.h"
#include "text/control_tokens.h"
#include "text/tokenizer.h"

namespace varalign::cli {

// How a model reads prompts. Immutable; any thread.
class PromptEncoder {
 public:
  // A directory without a tokenizer reads ids only.
  static absl::StatusOr<PromptEncoder> Load(const std::filesystem::path& model);

  // {"messages":[...]}, rendered by the chat template with the start of a
  // response; {"prompt":"..."}, as it stands; {"prompt_ids":[...]}. With one
  // BOS where the tokenizer puts one. InvalidArgument with the reason.
  absl::StatusOr<std::vector<uint32_t>> Encode(const base::Json& row) const;
  // A line that a person typed: a user's turn where there is a template.
  absl::StatusOr<std::vector<uint32_t>> EncodeTyped(
      const std::string& text) const;

  // Without special tokens; "" without a tokenizer.
  std::string Decode(const std::vector<uint32_t>& ids) const;
  // What ends a response.
  const std::vector<uint32_t>& stop_tokens() const { return control_.ends; }

 private:
  absl::StatusOr<std::vector<uint32_t>> EncodeText(
      const std::string& text) const;

  std::optional<text::Tokenizer> tokenizer_;
  text::ControlTokens control_;
};

// All rows of a file of JSON lines; the message of an error names the line.
absl::StatusOr<std::vector<std::vector<uint32_t>>> ReadPrompts(
    const std::filesystem::path& file, const PromptEncoder& encoder);

// The part of a text that more tokens will not change: without an unfinished
// character at its end.
std::string_view Settled(std::string_view text);

}  // namespace varalign::cli

#endif  // VARALIGN_CLI_GENERATE_ROWS_H_
