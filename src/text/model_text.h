// The text files of a Hugging Face model directory besides tokenizer.json:
// which special tokens the model has, and its chat template.
#ifndef VARALIGN_TEXT_MODEL_TEXT_H_
#define VARALIGN_TEXT_MODEL_TEXT_H_

#include <filesystem>
#include <optional>
#include <string>

#include "absl/status/statusor.h"
#include "base/json.h"

namespace varalign::text {

struct ModelText {
  // {"bos_token":"<s>",...}: an object, with the names that the model sets.
  base::Json special_tokens = base::Json::object();
  std::optional<std::string> chat_template;

  std::optional<std::string> token(const char* name) const;
};

// tokenizer_config.json, completed by special_tokens_map.json; the template of
// chat_template.jinja wins over the one in tokenizer_config.json. All three
// may be absent. InvalidArgument names the file that does not parse.
absl::StatusOr<ModelText> ReadModelText(const std::filesystem::path& model);

}  // namespace varalign::text

#endif  // VARALIGN_TEXT_MODEL_TEXT_H_
