#include "text/model_text.h"

#include <string_view>

#include "base/file.h"
#include "base/status_macros.h"
#include "text/ffi.h"
#include "text/foreign_text.h"

namespace varalign::text {
namespace {

constexpr uint64_t kMaxConfigBytes = 32u << 20;
constexpr uint64_t kMaxTemplateBytes = 1u << 20;  // Compile has its own limit

absl::StatusOr<std::optional<std::string>> ReadIfThere(
    const std::filesystem::path& path, uint64_t limit) {
  absl::StatusOr<std::string> text = base::ReadFile(path, limit);
  if (absl::IsNotFound(text.status())) return std::nullopt;
  RETURN_IF_ERROR(text.status());
  return *std::move(text);
}

// The object of varalign_tokenizer_config_read; empty without the file.
absl::StatusOr<base::Json> ReadConfig(const std::filesystem::path& path) {
  ASSIGN_OR_RETURN(const std::optional<std::string> text,
                   ReadIfThere(path, kMaxConfigBytes));
  if (!text.has_value()) return base::Json::object();
  VaralignText out{};
  VaralignText error{};
  const int32_t code =
      varalign_tokenizer_config_read(View(*text), &out, &error);
  if (code != VARALIGN_TEXT_OK) {
    return ForeignStatus(code, path.string(), error);
  }
  return base::ParseJson(Take(out));
}

}  // namespace

std::optional<std::string> ModelText::token(const char* name) const {
  const auto found = special_tokens.find(name);
  if (found == special_tokens.end()) return std::nullopt;
  return found->get<std::string>();
}

absl::StatusOr<ModelText> ReadModelText(const std::filesystem::path& model) {
  ModelText text;
  for (const char* file :
       {"special_tokens_map.json", "tokenizer_config.json"}) {  // last one wins
    ASSIGN_OR_RETURN(const base::Json config, ReadConfig(model / file));
    if (!config.contains("special_tokens")) continue;
    text.special_tokens.update(config["special_tokens"]);
    if (config.contains("chat_template")) {
      text.chat_template = config["chat_template"].get<std::string>();
    }
  }
  ASSIGN_OR_RETURN(
      std::optional<std::string> file,
      ReadIfThere(model / "chat_template.jinja", kMaxTemplateBytes));
  if (file.has_value()) text.chat_template = std::move(file);
  return text;
}

}  // namespace varalign::text
