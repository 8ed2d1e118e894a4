#include "text/tokenizer.h"

#include <algorithm>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"
#include "base/digest.h"
#include "base/file.h"
#include "base/json.h"
#include "base/status_macros.h"
#include "text/chat_template.h"
#include "text/ffi.h"
#include "text/foreign_text.h"
#include "text/model_text.h"

namespace varalign::text {
namespace {

constexpr uint64_t kMaxTokenizerBytes = 128u << 20;
constexpr size_t kMaxEntries = 2'000'000;

struct FreeTokens {
  void operator()(VaralignTokens* tokens) const {
    varalign_tokens_free(tokens);
  }
};
using TokensHandle = std::unique_ptr<VaralignTokens, FreeTokens>;

absl::StatusOr<TokensHandle> ParseTokens(const std::filesystem::path& path,
                                         std::string_view json) {
  VaralignTokens* tokens = nullptr;
  VaralignText error{};
  const int32_t code =
      varalign_tokens_new(View(json), kMaxEntries, &tokens, &error);
  if (code != VARALIGN_TEXT_OK) {
    return ForeignStatus(code, path.string(), error);
  }
  return TokensHandle(tokens);
}

std::optional<uint32_t> IdOf(const VaralignTokens* tokens,
                             const std::optional<std::string>& token) {
  if (!token.has_value()) return std::nullopt;
  uint32_t id = 0;
  VaralignText error{};
  if (varalign_tokens_id(tokens, View(*token), &id, &error) ==
      VARALIGN_TEXT_OK) {
    return id;
  }
  varalign_text_free(error);  // a token that the vocabulary lacks
  return std::nullopt;
}

// Of the tokens that were added as special, and of those that the model names.
absl::StatusOr<std::vector<std::string>> SpecialTexts(
    const VaralignTokens* tokens, const ModelText& text) {
  VaralignText out{};
  VaralignText error{};
  const int32_t code = varalign_tokens_special_texts(tokens, &out, &error);
  if (code != VARALIGN_TEXT_OK) {
    return ForeignStatus(code, "special tokens", error);
  }
  ASSIGN_OR_RETURN(const base::Json list, base::ParseJson(Take(out)));
  auto texts = list.get<std::vector<std::string>>();
  for (const char* name : {"bos_token", "eos_token", "pad_token"}) {
    const std::optional<std::string> token = text.token(name);
    if (IdOf(tokens, token).has_value()) texts.push_back(*token);
  }
  std::erase(texts, "");
  std::sort(texts.begin(), texts.end());
  texts.erase(std::unique(texts.begin(), texts.end()), texts.end());
  return texts;
}

// Copies and frees.
std::vector<uint32_t> TakeIds(VaralignIds ids) {
  std::vector<uint32_t> copy(ids.data, ids.data + ids.size);
  varalign_ids_free(ids);
  return copy;
}

base::Json MessagesJson(std::span<const Message> messages) {
  base::Json list = base::Json::array();
  for (const Message& message : messages) {
    list.push_back({{"role", message.role}, {"content", message.content}});
  }
  return list;
}

}  // namespace

struct Tokenizer::State {
  TokensHandle tokens;
  ModelText text;
  // Not ok where the model has none, or has one that does not compile: the
  // model is of use for encoding all the same.
  absl::StatusOr<ChatTemplate> chat_template =
      absl::FailedPreconditionError("the model has no chat template");
  std::string tokenizer_sha256;
  std::string template_sha256;
  std::optional<uint32_t> bos_id;
  std::optional<uint32_t> eos_id;
  std::optional<uint32_t> pad_id;
  std::vector<std::string> special_texts;
};

Tokenizer::Tokenizer(std::unique_ptr<State> state) : state_(std::move(state)) {}
Tokenizer::Tokenizer(Tokenizer&&) noexcept = default;
Tokenizer& Tokenizer::operator=(Tokenizer&&) noexcept = default;
Tokenizer::~Tokenizer() = default;

absl::StatusOr<Tokenizer> Tokenizer::Load(const std::filesystem::path& model) {
  const std::filesystem::path path = model / "tokenizer.json";
  absl::StatusOr<std::string> json = base::ReadFile(path, kMaxTokenizerBytes);
  if (absl::IsOutOfRange(json.status())) {
    return absl::InvalidArgumentError(json.status().message());
  }
  RETURN_IF_ERROR(json.status());
  auto state = std::make_unique<State>();
  ASSIGN_OR_RETURN(state->tokens, ParseTokens(path, *json));
  state->tokenizer_sha256 = base::Sha256(*json);
  ASSIGN_OR_RETURN(state->text, ReadModelText(model));
  if (state->text.chat_template.has_value()) {
    state->chat_template = ChatTemplate::Compile(*state->text.chat_template);
    state->template_sha256 = base::Sha256(*state->text.chat_template);
  }
  const VaralignTokens* tokens = state->tokens.get();
  state->bos_id = IdOf(tokens, state->text.token("bos_token"));
  state->eos_id = IdOf(tokens, state->text.token("eos_token"));
  state->pad_id = IdOf(tokens, state->text.token("pad_token"));
  ASSIGN_OR_RETURN(state->special_texts, SpecialTexts(tokens, state->text));
  return Tokenizer(std::move(state));
}

absl::StatusOr<std::vector<uint32_t>> Tokenizer::Encode(
    std::string_view text, SpecialTokens special) const {
  VaralignIds ids{};
  VaralignText error{};
  const int32_t code = varalign_tokens_encode(
      state_->tokens.get(), View(text), special == SpecialTokens::kAdd ? 1 : 0,
      &ids, &error);
  if (code != VARALIGN_TEXT_OK) return ForeignStatus(code, "encode", error);
  return TakeIds(ids);
}

absl::StatusOr<std::optional<std::vector<uint32_t>>> Tokenizer::EncodeBehind(
    std::string_view before, std::string_view text) const {
  VaralignIds ids{};
  VaralignText error{};
  int32_t stable = 0;
  const int32_t code = varalign_tokens_encode_behind(
      state_->tokens.get(), View(before), View(text), &ids, &stable, &error);
  if (code != VARALIGN_TEXT_OK) return ForeignStatus(code, "encode", error);
  std::vector<uint32_t> taken = TakeIds(ids);
  if (stable == 0) return std::nullopt;
  return taken;
}

absl::StatusOr<std::string> Tokenizer::Decode(std::span<const uint32_t> ids,
                                              SpecialText special) const {
  VaralignText text{};
  VaralignText error{};
  const int32_t code = varalign_tokens_decode(
      state_->tokens.get(), ids.data(), ids.size(),
      special == SpecialText::kSkip ? 1 : 0, &text, &error);
  if (code != VARALIGN_TEXT_OK) return ForeignStatus(code, "decode", error);
  return Take(text);
}

absl::StatusOr<std::string> Tokenizer::RenderChat(
    std::span<const Message> messages, GenerationPrompt generation_prompt,
    std::optional<std::string_view> chat_template) const {
  // The names that transformers passes: the special tokens, then its own.
  base::Json variables = state_->text.special_tokens;
  variables["messages"] = MessagesJson(messages);
  variables["tools"] = nullptr;
  variables["documents"] = nullptr;
  variables["add_generation_prompt"] =
      generation_prompt == GenerationPrompt::kAdd;
  if (chat_template.has_value()) {
    ASSIGN_OR_RETURN(const ChatTemplate given,
                     ChatTemplate::Compile(*chat_template));
    return given.Render(variables, absl::Now());
  }
  RETURN_IF_ERROR(state_->chat_template.status());
  return state_->chat_template->Render(variables, absl::Now());
}

uint32_t Tokenizer::vocabulary_size() const {
  return varalign_tokens_vocabulary_size(state_->tokens.get());
}
std::optional<uint32_t> Tokenizer::bos_id() const { return state_->bos_id; }
std::optional<uint32_t> Tokenizer::eos_id() const { return state_->eos_id; }
std::optional<uint32_t> Tokenizer::pad_id() const { return state_->pad_id; }
const std::vector<std::string>& Tokenizer::special_texts() const {
  return state_->special_texts;
}
bool Tokenizer::has_chat_template() const {
  return state_->text.chat_template.has_value();
}
const std::string& Tokenizer::tokenizer_sha256() const {
  return state_->tokenizer_sha256;
}
const std::string& Tokenizer::template_sha256() const {
  return state_->template_sha256;
}

}  // namespace varalign::text
