#include "cli/prepare_encoder.h"

#include <algorithm>
#include <span>
#include <string_view>
#include <utility>

#include "absl/strings/str_cat.h"
#include "base/file.h"
#include "base/json.h"
#include "base/status_macros.h"
#include "data/transcript.h"

namespace varalign::cli {
namespace {

std::vector<text::Message> Messages(const data::ParsedExample& example) {
  std::vector<text::Message> messages;
  for (const data::Turn& turn : example.messages) {
    messages.push_back({turn.role, turn.content});
  }
  return messages;
}

absl::StatusOr<RenderedExample> RenderByTemplate(
    const text::Tokenizer& tokenizer, const data::ParsedExample& example) {
  std::vector<text::Message> messages = Messages(example);
  RenderedExample rendered;
  ASSIGN_OR_RETURN(
      rendered.prompt,
      tokenizer.RenderChat(messages, text::GenerationPrompt::kAdd));
  messages.push_back({"assistant", ""});
  for (const data::ParsedResponse& response : example.responses) {
    messages.back().content = response.text;
    ASSIGN_OR_RETURN(
        const std::string whole,
        tokenizer.RenderChat(messages, text::GenerationPrompt::kNone));
    // A template may write past turns in another way than the one to come.
    const bool goes_on = whole.starts_with(rendered.prompt);
    rendered.rewritten |= !goes_on;
    rendered.responses.push_back(goes_on ? whole.substr(rendered.prompt.size())
                                         : response.text);
  }
  return rendered;
}

RenderedExample RenderTranscript(const data::ParsedExample& example) {
  RenderedExample rendered;
  rendered.prompt = data::JoinTranscript(example.messages);
  for (const data::ParsedResponse& response : example.responses) {
    const bool spaced = response.text.starts_with(' ');
    rendered.responses.push_back((spaced ? "" : " ") + response.text);
  }
  return rendered;
}

RenderedExample RenderPlain(const data::ParsedExample& example) {
  RenderedExample rendered;
  rendered.prompt = *example.plain_prompt;
  for (const data::ParsedResponse& response : example.responses) {
    rendered.responses.push_back(response.text);
  }
  return rendered;
}

std::optional<uint32_t> CountIn(const base::Json& config, const char* key) {
  const auto found = config.find(key);
  if (found == config.end() || !found->is_number_unsigned()) {
    return std::nullopt;
  }
  const auto value = found->get<uint64_t>();
  if (value == 0 || value > UINT32_MAX) return std::nullopt;
  return static_cast<uint32_t>(value);
}

}  // namespace

ExampleEncoder::ExampleEncoder(text::Tokenizer tokenizer)
    : tokenizer_(std::move(tokenizer)) {}

absl::StatusOr<ExampleEncoder> ExampleEncoder::Load(
    const std::filesystem::path& model, std::optional<uint32_t> max_length) {
  ASSIGN_OR_RETURN(text::Tokenizer tokenizer, text::Tokenizer::Load(model));
  ExampleEncoder encoder(std::move(tokenizer));
  const text::Tokenizer& loaded = encoder.tokenizer_;
  if (!loaded.eos_id().has_value()) {
    return absl::InvalidArgumentError(
        absl::StrCat("the model names no end token; set eos_token in "
                     "tokenizer_config.json: ",
                     model.string()));
  }
  ASSIGN_OR_RETURN(encoder.control_, text::ReadControlTokens(model, loaded));
  const text::ControlTokens& control = encoder.control_;
  encoder.rules_ = {.vocabulary_size = loaded.vocabulary_size(),
                    .bos = control.bos,
                    .begins_with_bos = control.adds_bos,
                    .bos_may_repeat = control.bos_repeats,
                    .ends = control.ends,
                    .padding = control.padding};
  RETURN_IF_ERROR(encoder.ReadConfig(model));
  if (max_length.has_value()) encoder.max_length_ = *max_length;
  ASSIGN_OR_RETURN(encoder.puts_space_first_, encoder.PutsSpaceFirst());
  return encoder;
}

absl::Status ExampleEncoder::ReadConfig(const std::filesystem::path& model) {
  const absl::StatusOr<std::string> text =
      base::ReadFile(model / "config.json", 1u << 20);
  if (absl::IsNotFound(text.status())) return absl::OkStatus();
  RETURN_IF_ERROR(text.status());
  const absl::StatusOr<base::Json> config = base::ParseJson(*text);
  if (!config.ok() || !config->is_object()) {
    return absl::InvalidArgumentError(absl::StrCat(
        (model / "config.json").string(), ": ",
        config.ok() ? "is not a JSON object" : config.status().message()));
  }
  max_length_ =
      CountIn(*config, "max_position_embeddings").value_or(max_length_);
  rules_.vocabulary_size =
      CountIn(*config, "vocab_size").value_or(rules_.vocabulary_size);
  return absl::OkStatus();
}

absl::StatusOr<RenderedExample> ExampleEncoder::Render(
    const data::ParsedExample& example) const {
  if (example.plain_prompt.has_value()) return RenderPlain(example);
  if (tokenizer_.has_chat_template()) {
    return RenderByTemplate(tokenizer_, example);
  }
  return RenderTranscript(example);
}

absl::Status ExampleEncoder::CheckTexts(
    const data::ParsedExample& example) const {
  // A plain prompt may have been rendered already.
  if (example.plain_prompt.has_value()) return absl::OkStatus();
  const auto check = [this](const std::string& text) {
    for (const std::string& token : tokenizer_.special_texts()) {
      if (text.find(token) == std::string::npos) continue;
      return absl::InvalidArgumentError(
          absl::StrCat("the text holds a special token of the model: ", token));
    }
    return absl::OkStatus();
  };
  for (const data::Turn& turn : example.messages) {
    RETURN_IF_ERROR(check(turn.content));
  }
  for (const data::ParsedResponse& response : example.responses) {
    RETURN_IF_ERROR(check(response.text));
  }
  return absl::OkStatus();
}

absl::StatusOr<bool> ExampleEncoder::PutsSpaceFirst() const {
  ASSIGN_OR_RETURN(const std::vector<uint32_t> one,
                   tokenizer_.Encode("a", text::SpecialTokens::kNone));
  ASSIGN_OR_RETURN(const std::vector<uint32_t> two,
                   tokenizer_.Encode("a a", text::SpecialTokens::kNone));
  return one.size() == 1 && two.size() == 2 && one[0] == two[0] &&
         one[0] == two[1];
}

absl::StatusOr<std::vector<uint32_t>> ExampleEncoder::EncodeApart(
    const std::string& response) const {
  std::string_view bare = response;
  if (puts_space_first_ && bare.starts_with(' ')) bare.remove_prefix(1);
  return tokenizer_.Encode(bare, text::SpecialTokens::kNone);
}

absl::Status ExampleEncoder::EncodeResponse(const RenderedExample& rendered,
                                            size_t k,
                                            EncodedExample& encoded) const {
  const std::string& response = rendered.responses[k];
  ASSIGN_OR_RETURN(std::optional<std::vector<uint32_t>> behind,
                   tokenizer_.EncodeBehind(rendered.prompt, response));
  if (!behind.has_value() || rendered.rewritten) ++encoded.num_unstable;
  if (!behind.has_value()) {
    ASSIGN_OR_RETURN(behind, EncodeApart(response));
  }
  std::vector<uint32_t>& ids = *behind;
  const bool ended =
      std::find_first_of(ids.begin(), ids.end(), control_.ends.begin(),
                         control_.ends.end()) != ids.end();
  if (!ended) ids.push_back(control_.ends.front());
  RETURN_IF_ERROR(data::CheckResponse(rules_, ids));
  encoded.responses.push_back(std::move(ids));
  return absl::OkStatus();
}

absl::StatusOr<EncodedExample> ExampleEncoder::Encode(
    const data::ParsedExample& example) const {
  RETURN_IF_ERROR(CheckTexts(example));
  ASSIGN_OR_RETURN(const RenderedExample rendered, Render(example));
  EncodedExample encoded;
  ASSIGN_OR_RETURN(
      encoded.prompt,
      tokenizer_.Encode(rendered.prompt, text::SpecialTokens::kNone));
  const bool lacks_bos =
      control_.adds_bos &&
      (encoded.prompt.empty() || encoded.prompt.front() != control_.bos);
  if (lacks_bos) encoded.prompt.insert(encoded.prompt.begin(), *control_.bos);
  RETURN_IF_ERROR(data::CheckPrompt(rules_, encoded.prompt));
  for (size_t k = 0; k < rendered.responses.size(); ++k) {
    RETURN_IF_ERROR(EncodeResponse(rendered, k, encoded));
  }
  return encoded;
}

v1::TextView ExampleEncoder::View() const {
  v1::TextView view;
  view.set_tokenizer_sha256(tokenizer_.tokenizer_sha256());
  view.set_template_sha256(tokenizer_.template_sha256());
  view.set_rendering(tokenizer_.has_chat_template() ? "chat_template"
                                                    : "transcript");
  view.set_vocabulary_size(tokenizer_.vocabulary_size());
  return view;
}

}  // namespace varalign::cli
