// Examples as one model reads them: rendered text, and the ids of it.
#ifndef VARALIGN_CLI_PREPARE_ENCODER_H_
#define VARALIGN_CLI_PREPARE_ENCODER_H_

#include <cstdint>
#include <filesystem>
#include <optional>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "data/parsed_example.h"
#include "text/tokenizer.h"
#include "varalign/v1/dataset.pb.h"

namespace varalign::cli {

// The prompt and what follows it for each response.
struct RenderedExample {
  std::string prompt;
  std::vector<std::string> responses;
};

struct EncodedExample {
  std::vector<uint32_t> prompt;                  // with one BOS where there is
  std::vector<std::vector<uint32_t>> responses;  // each with its end token
  RenderedExample rendered;                      // what they are the ids of
};

// Immutable; any thread. Prompt and response are encoded apart:
//
//   chat template   prompt = rendering with the generation prompt; response =
//                   what the rendering with the response adds to it
//   no template     the transcript "\n\nHuman: ...\n\nAssistant:" and " ..."
//   plain prompt    both as they stand
//
// A response without the end token gets it. Where the tokenizer puts a space
// before every text, a response that starts with one is encoded without it.
class ExampleEncoder {
 public:
  // NotFound without a tokenizer; InvalidArgument for a model that names no end
  // token. `max_length`, in tokens, replaces the one of config.json.
  static absl::StatusOr<ExampleEncoder> Load(
      const std::filesystem::path& model,
      std::optional<uint32_t> max_length = std::nullopt);

  // InvalidArgument with the reason if the example cannot be trained on: the
  // template refuses it, its text holds special tokens, or a response is empty.
  absl::StatusOr<EncodedExample> Encode(
      const data::ParsedExample& example) const;
  absl::StatusOr<RenderedExample> Render(
      const data::ParsedExample& example) const;

  // Responses whose ids would differ if prompt and response were one text.
  absl::StatusOr<uint32_t> CountUnstable(const EncodedExample& encoded) const;

  const text::Tokenizer& tokenizer() const { return tokenizer_; }
  // Most tokens of a prompt with a response.
  uint64_t max_length() const { return max_length_; }
  v1::TextView View() const;

 private:
  explicit ExampleEncoder(text::Tokenizer tokenizer);

  absl::Status ReadConfig(const std::filesystem::path& model);
  absl::Status CheckTexts(const data::ParsedExample& example) const;
  absl::StatusOr<std::vector<uint32_t>> EncodePrompt(
      const std::string& text) const;
  absl::StatusOr<std::vector<uint32_t>> EncodeResponse(
      const std::string& text) const;
  absl::StatusOr<bool> IsStable(const EncodedExample& encoded, size_t k) const;
  absl::StatusOr<bool> PutsSpaceFirst() const;
  absl::Status CheckIds(const std::vector<uint32_t>& ids) const;

  text::Tokenizer tokenizer_;
  uint64_t max_length_ = UINT64_MAX;
  uint32_t vocabulary_size_ = 0;
  uint32_t eos_id_ = 0;
  std::optional<uint32_t> added_bos_;  // the tokenizer puts it first by itself
  bool puts_space_first_ = false;      // the tokenizer, before every text
  std::vector<std::string> reserved_;  // texts of BOS and end token
};

}  // namespace varalign::cli

#endif  // VARALIGN_CLI_PREPARE_ENCODER_H_
