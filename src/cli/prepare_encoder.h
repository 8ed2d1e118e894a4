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
#include "data/row_rules.h"
#include "text/control_tokens.h"
#include "text/tokenizer.h"
#include "varalign/v1/dataset.pb.h"

namespace varalign::cli {

// The prompt and what follows it for each response.
struct RenderedExample {
  std::string prompt;
  std::vector<std::string> responses;
  // The template renders prompt and responses in another way than the prompt
  // alone: the responses are the bare texts.
  bool rewritten = false;
};

struct EncodedExample {
  std::vector<uint32_t> prompt;                  // with one BOS where there is
  std::vector<std::vector<uint32_t>> responses;  // each with its end token
  uint32_t num_unstable = 0;                     // responses, see below
};

// Immutable; any thread. The text of a row:
//
//   chat template   prompt = rendering with the generation prompt; response =
//                   what the rendering with the response adds to it
//   no template     the transcript "\n\nHuman: ...\n\nAssistant:" and " ..."
//   plain prompt    both as they stand
//
// The ids of the prompt are those of its text alone. Where they begin the ids
// of prompt and response together, the response has the rest of these. Else
// the boundary is unstable: the response is encoded alone too, and counted. A
// response without an end token gets it. docs/formats/dataset.md says why.
class ExampleEncoder {
 public:
  // NotFound without a tokenizer; InvalidArgument for a model that names no end
  // token. `max_length`, in tokens, replaces the one of config.json.
  static absl::StatusOr<ExampleEncoder> Load(
      const std::filesystem::path& model,
      std::optional<uint32_t> max_length = std::nullopt);

  // InvalidArgument with the reason if the example cannot be trained on: the
  // template refuses it, its text holds special tokens, or its ids break a
  // rule of data/row_rules.h.
  absl::StatusOr<EncodedExample> Encode(
      const data::ParsedExample& example) const;
  absl::StatusOr<RenderedExample> Render(
      const data::ParsedExample& example) const;

  const text::Tokenizer& tokenizer() const { return tokenizer_; }
  // Most tokens of a prompt with a response.
  uint64_t max_length() const { return max_length_; }
  v1::TextView View() const;

 private:
  explicit ExampleEncoder(text::Tokenizer tokenizer);

  absl::Status ReadConfig(const std::filesystem::path& model);
  absl::Status CheckTexts(const data::ParsedExample& example) const;
  absl::Status EncodeResponse(const RenderedExample& rendered, size_t k,
                              EncodedExample& encoded) const;
  absl::StatusOr<std::vector<uint32_t>> EncodeApart(
      const std::string& response) const;
  absl::StatusOr<bool> PutsSpaceFirst() const;

  text::Tokenizer tokenizer_;
  text::ControlTokens control_;
  data::RowRules rules_;  // of a row's ids; its length is FitExample's affair
  uint64_t max_length_ = UINT64_MAX;
  bool puts_space_first_ = false;  // the tokenizer, before every text
};

}  // namespace varalign::cli

#endif  // VARALIGN_CLI_PREPARE_ENCODER_H_
