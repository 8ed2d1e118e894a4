#include "tests/cli/byte_model.h"

#include <fstream>
#include <sstream>

#include "base/json.h"

namespace varalign::cli {
namespace {

namespace fs = std::filesystem;

std::string Utf8(uint32_t code) {
  if (code < 0x80) return std::string(1, static_cast<char>(code));
  return {static_cast<char>(0xc0 | (code >> 6)),
          static_cast<char>(0x80 | (code & 0x3f))};
}

// The characters that byte-level tokenizers write for the 256 bytes.
base::Json ByteVocabulary() {
  base::Json vocabulary = base::Json::object();
  uint32_t next = 256;
  for (uint32_t byte = 0; byte < 256; ++byte) {
    const bool printable = (byte >= 33 && byte <= 126) ||
                           (byte >= 161 && byte <= 172) || byte >= 174;
    vocabulary[Utf8(printable ? byte : next++)] = byte;
  }
  return vocabulary;
}

base::Json Special(const char* text, uint32_t id) {
  return {{"id", id},        {"content", text}, {"single_word", false},
          {"lstrip", false}, {"rstrip", false}, {"normalized", false},
          {"special", true}};
}

base::Json TokenizerJson() {
  const base::Json byte_level = {{"type", "ByteLevel"},
                                 {"add_prefix_space", false},
                                 {"trim_offsets", true},
                                 {"use_regex", true}};
  const base::Json bos = {{"SpecialToken", {{"id", "<s>"}, {"type_id", 0}}}};
  const base::Json text = {{"Sequence", {{"id", "A"}, {"type_id", 0}}}};
  return {
      {"version", "1.0"},
      {"truncation", nullptr},
      {"padding", nullptr},
      {"added_tokens", {Special("<s>", kBos), Special("</s>", kEos)}},
      {"normalizer", nullptr},
      {"pre_tokenizer", byte_level},
      {"post_processor",
       {{"type", "TemplateProcessing"},
        {"single", {bos, text}},
        {"pair", {text, text}},
        {"special_tokens",
         {{"<s>", {{"id", "<s>"}, {"ids", {kBos}}, {"tokens", {"<s>"}}}}}}}},
      {"decoder", byte_level},
      {"model",
       {{"type", "BPE"},
        {"vocab", ByteVocabulary()},
        {"merges", base::Json::array()}}}};
}

}  // namespace

const char kAngleTemplate[] =
    "{{ bos_token }}{% for m in messages %}<{{ m.role }}:{{ m.content }}"
    "{% if m.role == 'assistant' %}{{ eos_token }}{% endif %}>{% endfor %}"
    "{% if add_generation_prompt %}<assistant:{% endif %}";

fs::path ModelDirectories::Write(const char* name, std::string_view text) {
  const fs::path path = root_ / name;
  fs::create_directories(path.parent_path());
  std::ofstream(path, std::ios::binary) << text;
  return path;
}

fs::path ModelDirectories::Make(const char* name, const ByteModel& model) {
  const std::string base = std::string(name) + "/";
  Write((base + "tokenizer.json").c_str(), base::DumpJson(TokenizerJson()));
  Write((base + "config.json").c_str(),
        base::DumpJson({{"vocab_size", 258},
                        {"max_position_embeddings", model.max_positions}}));
  base::Json config = {{"bos_token", "<s>"}, {"eos_token", "</s>"}};
  if (!model.chat_template.empty()) {
    config["chat_template"] = model.chat_template;
  }
  Write((base + "tokenizer_config.json").c_str(), base::DumpJson(config));
  return root_ / name;
}

std::vector<uint32_t> Bytes(std::string_view text) {
  std::vector<uint32_t> ids;
  for (const char c : text) ids.push_back(static_cast<unsigned char>(c));
  return ids;
}

std::string ReadText(const fs::path& path) {
  std::ifstream file(path, std::ios::binary);
  std::ostringstream text;
  text << file.rdbuf();
  return text.str();
}

}  // namespace varalign::cli
