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
  ASSIGN_OR_RETURN(rendered.prompt, tokenizer.RenderChat(messages, true));
  messages.push_back({"assistant", ""});
  for (const data::ParsedResponse& response : example.responses) {
    messages.back().content = response.text;
    ASSIGN_OR_RETURN(const std::string whole,
                     tokenizer.RenderChat(messages, false));
    // A template may write past turns in another way than the one to come.
    rendered.responses.push_back(whole.starts_with(rendered.prompt)
                                     ? whole.substr(rendered.prompt.size())
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
  encoder.eos_id_ = *loaded.eos_id();
  encoder.vocabulary_size_ = loaded.vocabulary_size();
  RETURN_IF_ERROR(encoder.ReadConfig(model));
  if (max_length.has_value()) encoder.max_length_ = *max_length;

  ASSIGN_OR_RETURN(const std::vector<uint32_t> specials,
                   loaded.Encode("", true));
  if (!specials.empty() && specials.front() == loaded.bos_id()) {
    encoder.added_bos_ = specials.front();
  }
  ASSIGN_OR_RETURN(encoder.puts_space_first_, encoder.PutsSpaceFirst());
  for (const auto& id : {loaded.bos_id(), loaded.eos_id()}) {
    if (!id.has_value()) continue;
    const uint32_t ids[] = {*id};
    ASSIGN_OR_RETURN(std::string token, loaded.Decode(ids, false));
    if (!token.empty()) encoder.reserved_.push_back(std::move(token));
  }
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
  vocabulary_size_ = CountIn(*config, "vocab_size").value_or(vocabulary_size_);
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
    for (const std::string& token : reserved_) {
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

absl::Status ExampleEncoder::CheckIds(const std::vector<uint32_t>& ids) const {
  for (const uint32_t id : ids) {
    if (id < vocabulary_size_) continue;
    return absl::InvalidArgumentError(
        absl::StrCat("a token is beyond the model's vocabulary of ",
                     vocabulary_size_, ": ", id));
  }
  return absl::OkStatus();
}

absl::StatusOr<std::vector<uint32_t>> ExampleEncoder::EncodePrompt(
    const std::string& text) const {
  ASSIGN_OR_RETURN(std::vector<uint32_t> ids, tokenizer_.Encode(text, false));
  if (added_bos_.has_value()) {
    if (ids.empty() || ids.front() != *added_bos_) {
      ids.insert(ids.begin(), *added_bos_);
    }
    if (ids.size() > 1 && ids[1] == *added_bos_) {
      return absl::InvalidArgumentError("the prompt has BOS twice");
    }
  }
  if (ids.empty()) return absl::InvalidArgumentError("the prompt has no token");
  RETURN_IF_ERROR(CheckIds(ids));
  return ids;
}

absl::StatusOr<bool> ExampleEncoder::PutsSpaceFirst() const {
  ASSIGN_OR_RETURN(const std::vector<uint32_t> one,
                   tokenizer_.Encode("a", false));
  ASSIGN_OR_RETURN(const std::vector<uint32_t> two,
                   tokenizer_.Encode("a a", false));
  return one.size() == 1 && two.size() == 2 && one[0] == two[0] &&
         one[0] == two[1];
}

absl::StatusOr<std::vector<uint32_t>> ExampleEncoder::EncodeResponse(
    const std::string& text) const {
  std::string_view bare = text;
  if (puts_space_first_ && bare.starts_with(' ')) bare.remove_prefix(1);
  ASSIGN_OR_RETURN(std::vector<uint32_t> ids, tokenizer_.Encode(bare, false));
  const auto end = std::find(ids.begin(), ids.end(), eos_id_);
  if (end == ids.begin()) {
    return absl::InvalidArgumentError("the response has no token");
  }
  if (end == ids.end()) ids.push_back(eos_id_);
  RETURN_IF_ERROR(CheckIds(ids));
  return ids;
}

absl::StatusOr<EncodedExample> ExampleEncoder::Encode(
    const data::ParsedExample& example) const {
  RETURN_IF_ERROR(CheckTexts(example));
  EncodedExample encoded;
  ASSIGN_OR_RETURN(encoded.rendered, Render(example));
  ASSIGN_OR_RETURN(encoded.prompt, EncodePrompt(encoded.rendered.prompt));
  for (const std::string& response : encoded.rendered.responses) {
    ASSIGN_OR_RETURN(std::vector<uint32_t> ids, EncodeResponse(response));
    encoded.responses.push_back(std::move(ids));
  }
  return encoded;
}

absl::StatusOr<bool> ExampleEncoder::IsStable(const EncodedExample& encoded,
                                              size_t k) const {
  ASSIGN_OR_RETURN(
      const std::vector<uint32_t> whole,
      tokenizer_.Encode(encoded.rendered.prompt + encoded.rendered.responses[k],
                        false));
  // Neither a BOS nor an end token that was added is in the text.
  std::span<const uint32_t> prompt = encoded.prompt;
  if (added_bos_.has_value() && whole.front() != *added_bos_) {
    prompt = prompt.subspan(1);
  }
  std::span<const uint32_t> response = encoded.responses[k];
  if (whole.size() + 1 == prompt.size() + response.size()) {
    response = response.first(response.size() - 1);
  }
  return whole.size() == prompt.size() + response.size() &&
         std::equal(prompt.begin(), prompt.end(), whole.begin()) &&
         std::equal(response.rbegin(), response.rend(), whole.rbegin());
}

absl::StatusOr<uint32_t> ExampleEncoder::CountUnstable(
    const EncodedExample& encoded) const {
  uint32_t count = 0;
  for (size_t k = 0; k < encoded.responses.size(); ++k) {
    ASSIGN_OR_RETURN(const bool stable, IsStable(encoded, k));
    if (!stable) ++count;
  }
  return count;
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
