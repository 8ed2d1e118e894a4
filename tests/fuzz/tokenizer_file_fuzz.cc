#include "tests/fuzz/require.h"
#include "tests/fuzz/scratch_file.h"
#include "tests/fuzz/targets.h"
#include "text/tokenizer.h"

namespace varalign::fuzz {

// A tokenizer.json, and the text that stands behind its first NUL.
void TokenizerFile(std::string_view bytes) {
  const size_t end = std::min(bytes.find('\0'), bytes.size());
  const std::string_view text =
      end < bytes.size() ? bytes.substr(end + 1) : "Hello, world\xc3\xa9";
  WriteScratch("tokenizer.json", bytes.substr(0, end));
  const auto tokenizer = text::Tokenizer::Load(ScratchDirectory());
  if (!tokenizer.ok()) return;
  const auto ids = tokenizer->Encode(text, text::SpecialTokens::kAdd);
  if (!ids.ok()) return;
  for (const uint32_t id : *ids) {
    Require(id < tokenizer->vocabulary_size(), "ids are of the vocabulary");
  }
  (void)tokenizer->Decode(*ids, text::SpecialText::kKeep);
}

}  // namespace varalign::fuzz
