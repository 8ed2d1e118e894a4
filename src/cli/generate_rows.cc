#include "cli/generate_rows.h"

#include <string_view>
#include <utility>

#include "absl/strings/str_cat.h"
#include "base/status_macros.h"
#include "cli/prepare_row.h"
#include "data/row_fields.h"
#include "data/row_source.h"
#include "data/transcript.h"

namespace varalign::cli {
namespace {

constexpr std::string_view kReplacement = "\xef\xbf\xbd";

absl::Status Refuse(absl::string_view reason) {
  return absl::InvalidArgumentError(reason);
}

absl::StatusOr<std::vector<uint32_t>> IdsOf(const base::Json& value) {
  if (!value.is_array() || value.empty()) {
    return Refuse("prompt_ids must be a list of one token id or more");
  }
  std::vector<uint32_t> ids;
  for (const base::Json& id : value) {
    if (!id.is_number_unsigned() || id.get<uint64_t>() > UINT32_MAX) {
      return Refuse("prompt_ids holds what is no token id");
    }
    ids.push_back(static_cast<uint32_t>(id.get<uint64_t>()));
  }
  return ids;
}

}  // namespace

absl::StatusOr<PromptEncoder> PromptEncoder::Load(
    const std::filesystem::path& model) {
  PromptEncoder encoder;
  absl::StatusOr<text::Tokenizer> tokenizer = text::Tokenizer::Load(model);
  if (absl::IsNotFound(tokenizer.status())) return encoder;
  RETURN_IF_ERROR(tokenizer.status());
  ASSIGN_OR_RETURN(encoder.control_,
                   text::ReadControlTokens(model, *tokenizer));
  encoder.tokenizer_.emplace(*std::move(tokenizer));
  return encoder;
}

absl::StatusOr<std::vector<uint32_t>> PromptEncoder::EncodeText(
    const std::string& text) const {
  ASSIGN_OR_RETURN(std::vector<uint32_t> ids,
                   tokenizer_->Encode(text, text::SpecialTokens::kNone));
  if (control_.adds_bos && (ids.empty() || ids.front() != control_.bos)) {
    ids.insert(ids.begin(), *control_.bos);
  }
  if (ids.empty()) return Refuse("the prompt has no token");
  return ids;
}

absl::StatusOr<std::vector<uint32_t>> PromptEncoder::Encode(
    const base::Json& row) const {
  if (row.is_object() && row.contains("prompt_ids")) {
    return IdsOf(row["prompt_ids"]);
  }
  if (!tokenizer_.has_value()) {
    return Refuse("the model has no tokenizer.json: give prompt_ids");
  }
  if (row.is_object() && row.contains("messages")) {
    ASSIGN_OR_RETURN(const std::vector<data::Turn> turns,
                     data::TurnsOf(row["messages"], "messages"));
    if (!tokenizer_->has_chat_template()) {
      return EncodeText(data::JoinTranscript(turns));
    }
    std::vector<text::Message> messages;
    for (const data::Turn& turn : turns) {
      messages.push_back({turn.role, turn.content});
    }
    ASSIGN_OR_RETURN(
        const std::string rendered,
        tokenizer_->RenderChat(messages, text::GenerationPrompt::kAdd));
    return EncodeText(rendered);
  }
  ASSIGN_OR_RETURN(const std::string text, data::TextField(row, "prompt"));
  return EncodeText(text);
}

absl::StatusOr<std::vector<uint32_t>> PromptEncoder::EncodeTyped(
    const std::string& text) const {
  if (!tokenizer_.has_value() || !tokenizer_->has_chat_template()) {
    return Encode({{"prompt", text}});
  }
  return Encode({{"messages",
                  base::Json::array({{{"role", "user"}, {"content", text}}})}});
}

std::string PromptEncoder::Decode(const std::vector<uint32_t>& ids) const {
  if (!tokenizer_.has_value()) return "";
  return tokenizer_->Decode(ids, text::SpecialText::kSkip).value_or("");
}

absl::StatusOr<std::vector<std::vector<uint32_t>>> ReadPrompts(
    const std::filesystem::path& file, const PromptEncoder& encoder) {
  ASSIGN_OR_RETURN(data::RowSource source, data::RowSource::Open(file));
  std::vector<std::vector<uint32_t>> prompts;
  while (true) {
    ASSIGN_OR_RETURN(const std::optional<data::SourceLine> line, source.Next());
    if (!line.has_value()) break;
    const absl::StatusOr<base::Json> row = ReadRow(*line, {});
    auto ids = row.ok() ? encoder.Encode(*row)
                        : absl::StatusOr<std::vector<uint32_t>>(row.status());
    if (!ids.ok()) {
      return absl::Status(ids.status().code(),
                          absl::StrCat(file.string(), ":", line->number, ": ",
                                       ids.status().message()));
    }
    prompts.push_back(*std::move(ids));
  }
  if (prompts.empty()) {
    return absl::InvalidArgumentError(
        absl::StrCat("no rows in ", file.string()));
  }
  return prompts;
}

std::string_view Settled(std::string_view text) {
  while (text.ends_with(kReplacement)) text.remove_suffix(kReplacement.size());
  return text;
}

}  // namespace varalign::cli
