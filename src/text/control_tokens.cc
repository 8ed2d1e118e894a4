#include "text/control_tokens.h"

#include <algorithm>
#include <string>

#include "absl/strings/str_cat.h"
#include "base/file.h"
#include "base/json.h"
#include "base/status_macros.h"

namespace varalign::text {
namespace {

constexpr uint64_t kMaxConfigBytes = 1u << 20;

// An empty object where the file is absent.
absl::StatusOr<base::Json> ReadConfig(const std::filesystem::path& path) {
  const absl::StatusOr<std::string> text =
      base::ReadFile(path, kMaxConfigBytes);
  if (absl::IsNotFound(text.status())) return base::Json::object();
  RETURN_IF_ERROR(text.status());
  absl::StatusOr<base::Json> config = base::ParseJson(*text);
  if (config.ok() && config->is_object()) return config;
  return absl::InvalidArgumentError(absl::StrCat(
      path.string(), ": ",
      config.ok() ? "is not a JSON object" : config.status().message()));
}

void AddId(const base::Json& value, std::vector<uint32_t>& ids) {
  if (!value.is_number_unsigned() || value.get<uint64_t>() > UINT32_MAX) return;
  const auto id = static_cast<uint32_t>(value.get<uint64_t>());
  if (std::find(ids.begin(), ids.end(), id) == ids.end()) ids.push_back(id);
}

void AddIds(const base::Json& config, std::vector<uint32_t>& ids) {
  const auto found = config.find("eos_token_id");
  if (found == config.end()) return;
  if (!found->is_array()) return AddId(*found, ids);
  for (const base::Json& value : *found) AddId(value, ids);
}

bool Holds(const std::vector<uint32_t>& ids, std::optional<uint32_t> id) {
  return id.has_value() && std::find(ids.begin(), ids.end(), *id) != ids.end();
}

// Does a conversation of three turns have `bos` more than once? Templates that
// refuse it are taken to have one.
absl::StatusOr<bool> RepeatsInTurns(const Tokenizer& tokenizer, uint32_t bos) {
  if (!tokenizer.has_chat_template()) return false;
  const Message turns[] = {{"user", "a"}, {"assistant", "b"}, {"user", "c"}};
  const absl::StatusOr<std::string> text =
      tokenizer.RenderChat(turns, GenerationPrompt::kAdd);
  if (!text.ok()) return false;
  ASSIGN_OR_RETURN(const std::vector<uint32_t> ids,
                   tokenizer.Encode(*text, SpecialTokens::kNone));
  // Twice at the start is a defect of the template, not a mark of turns.
  const auto begin = ids.begin() + (ids.empty() ? 0 : 1);
  const auto rest =
      std::find_if(begin, ids.end(), [&](uint32_t id) { return id != bos; });
  return std::find(rest, ids.end(), bos) != ids.end();
}

}  // namespace

absl::StatusOr<ControlTokens> ReadControlTokens(
    const std::filesystem::path& model, const Tokenizer& tokenizer) {
  ControlTokens control;
  if (tokenizer.eos_id().has_value()) {
    control.ends.push_back(*tokenizer.eos_id());
  }
  for (const char* file : {"generation_config.json", "config.json"}) {
    ASSIGN_OR_RETURN(const base::Json config, ReadConfig(model / file));
    AddIds(config, control.ends);
  }
  control.bos = tokenizer.bos_id();
  if (control.bos.has_value()) {
    ASSIGN_OR_RETURN(const std::vector<uint32_t> specials,
                     tokenizer.Encode("", SpecialTokens::kAdd));
    control.adds_bos = !specials.empty() && specials.front() == *control.bos;
    ASSIGN_OR_RETURN(control.bos_repeats,
                     RepeatsInTurns(tokenizer, *control.bos));
    control.bos_repeats |= Holds(control.ends, control.bos);
  }
  const std::optional<uint32_t> padding = tokenizer.pad_id();
  if (padding != control.bos && !Holds(control.ends, padding)) {
    control.padding = padding;
  }
  return control;
}

}  // namespace varalign::text
