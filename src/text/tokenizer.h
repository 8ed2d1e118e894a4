// Text to token ids and back, exactly as the Hugging Face `tokenizers` library
// does it, and chat templates as transformers renders them. Both come from the
// reference crates, behind the C header text/ffi.h.
#ifndef VARALIGN_TEXT_TOKENIZER_H_
#define VARALIGN_TEXT_TOKENIZER_H_

#include <cstdint>
#include <filesystem>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "absl/status/statusor.h"

namespace varalign::text {

struct Message {
  std::string role;  // "system", "user", "assistant"
  std::string content;
};

// What the post-processor adds to a text: BOS and the like.
enum class SpecialTokens { kNone, kAdd };
// Special tokens among the ids that are decoded.
enum class SpecialText { kKeep, kSkip };
// The start of a response behind a conversation.
enum class GenerationPrompt { kNone, kAdd };

// The text half of a Hugging Face model directory: tokenizer.json,
// tokenizer_config.json, chat_template.jinja. Immutable; any thread.
class Tokenizer {
 public:
  // NotFound without tokenizer.json; InvalidArgument for a file that the
  // library refuses (limits: 128 MiB, 2 M entries).
  static absl::StatusOr<Tokenizer> Load(const std::filesystem::path& model);
  Tokenizer(Tokenizer&&) noexcept;
  Tokenizer& operator=(Tokenizer&&) noexcept;
  ~Tokenizer();

  // InvalidArgument for invalid UTF-8.
  absl::StatusOr<std::vector<uint32_t>> Encode(std::string_view text,
                                               SpecialTokens special) const;
  // The ids that `text` adds to those of `before` where both are one text, no
  // special tokens added. None where the ids of `before` alone do not begin
  // those of both: a token reaches over the boundary.
  absl::StatusOr<std::optional<std::vector<uint32_t>>> EncodeBehind(
      std::string_view before, std::string_view text) const;
  absl::StatusOr<std::string> Decode(std::span<const uint32_t> ids,
                                     SpecialText special) const;

  // Largest id + 1, added tokens included.
  uint32_t vocabulary_size() const;
  std::optional<uint32_t> bos_id() const;
  std::optional<uint32_t> eos_id() const;
  std::optional<uint32_t> pad_id() const;
  // Texts that become a special token wherever they stand: those that were
  // added as special, and the three above. Sorted.
  const std::vector<std::string>& special_texts() const;

  // InvalidArgument with the template's own message if it raises or is refused
  // (64 KiB, fuel 10^6, output 16 MiB). REQUIRES: has_chat_template(), or
  // `chat_template` given.
  absl::StatusOr<std::string> RenderChat(
      std::span<const Message> messages, GenerationPrompt generation_prompt,
      std::optional<std::string_view> chat_template = std::nullopt) const;
  bool has_chat_template() const;

  // SHA-256 of tokenizer.json, of the chat template ("" without one).
  const std::string& tokenizer_sha256() const;
  const std::string& template_sha256() const;

 private:
  struct State;
  explicit Tokenizer(std::unique_ptr<State> state);
  std::unique_ptr<State> state_;
};

}  // namespace varalign::text

#endif  // VARALIGN_TEXT_TOKENIZER_H_
