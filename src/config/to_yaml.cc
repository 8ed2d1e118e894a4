#include <algorithm>
#include <functional>
#include <string>

#include "absl/strings/ascii.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "base/json.h"
#include "config/field.h"
#include "config/field_value.h"
#include "config/schema.h"

namespace varalign::config {
namespace {

// Text after a value, given the value's path; empty: none.
using CommentOf = std::function<std::string(const std::string& path)>;

// Words that YAML takes for something other than text, or for nothing.
bool IsPlainWord(const std::string& text) {
  const auto is_plain = [](unsigned char c) {
    return absl::ascii_isalnum(c) || c == '_' || c == '.' || c == '/' ||
           c == '-';
  };
  return !text.empty() && text.front() != '-' &&
         std::all_of(text.begin(), text.end(), is_plain) &&
         !absl::EqualsIgnoreCase(text, "null") && text != "...";
}

std::string ValueText(const Message& section, const FieldDescriptor& field) {
  std::string text = TextOf(section, field);
  if (field.cpp_type() == FieldDescriptor::CPPTYPE_STRING &&
      !IsPlainWord(text)) {
    // JSON's strings are YAML's.
    return base::DumpJson(base::Json(text));
  }
  return text;
}

void WriteSection(const Message& section, const std::string& path,
                  const CommentOf& comment_of, std::string& yaml) {
  const auto& reflection = *section.GetReflection();
  const Descriptor& type = *section.GetDescriptor();
  const std::string indent(
      path.empty() ? 0 : 2 * (1 + std::count(path.begin(), path.end(), '.')),
      ' ');
  for (int i = 0; i < type.field_count(); ++i) {
    const FieldDescriptor& field = *type.field(i);
    if (!reflection.HasField(section, &field)) continue;
    const std::string below = JoinPath(path, field.name());
    if (!IsSection(field)) {
      absl::StrAppend(&yaml, indent, field.name(), ": ",
                      ValueText(section, field), comment_of(below), "\n");
      continue;
    }
    std::string keys;
    WriteSection(reflection.GetMessage(section, &field), below, comment_of,
                 keys);
    // A section without keys would be a key without a value.
    if (!keys.empty()) {
      absl::StrAppend(&yaml, indent, field.name(), ":\n", keys);
    }
  }
}

}  // namespace

std::string ToYaml(const v1::RunConfig& config) {
  std::string yaml;
  WriteSection(config, "", [](const std::string&) { return ""; }, yaml);
  return yaml;
}

std::string ToYamlWithOrigins(const LoadedConfig& loaded) {
  std::string yaml;
  WriteSection(
      loaded.config, "",
      [&](const std::string& path) {
        const auto found = loaded.origins.find(path);
        return found == loaded.origins.end()
                   ? std::string()
                   : absl::StrCat("  # ", found->second);
      },
      yaml);
  return yaml;
}

}  // namespace varalign::config
