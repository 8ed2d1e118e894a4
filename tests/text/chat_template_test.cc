#include "text/chat_template.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cstdlib>
#include <filesystem>
#include <map>

#include "absl/strings/str_cat.h"
#include "absl/time/civil_time.h"
#include "base/file.h"
#include "tests/text/golden_lines.h"

namespace varalign::text {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::Pair;

const absl::Time kNow =
    absl::FromCivil(absl::CivilSecond(2025, 7, 10, 12), absl::LocalTimeZone());

base::Json Names() {
  return {{"messages", base::Json::array()},
          {"x", {{"a", 1}, {"b", {true, nullptr, 1.5, "é\"<"}}}},
          {"tools", nullptr}};
}

// The text, or the error.
std::string Render(std::string_view source, const base::Json& names = Names()) {
  const absl::StatusOr<ChatTemplate> compiled = ChatTemplate::Compile(source);
  if (!compiled.ok()) return compiled.status().ToString();
  const absl::StatusOr<std::string> text = compiled->Render(names, kNow);
  return text.ok() ? *text : text.status().ToString();
}

TEST(ChatTemplateTest, TrimsBlocksAsTransformersDoes) {
  EXPECT_EQ(Render("  {% if true %}\na\n  {% endif %}\nb\n"), "a\nb");
}

TEST(ChatTemplateTest, ReadsEveryLineEndAsANewline) {
  EXPECT_EQ(Render("a\r\nb{{ 'c\r\nd' }}\re"), "a\nbc\nd\ne");
}

TEST(ChatTemplateTest, IteratesOverTextButNotOverNone) {
  EXPECT_EQ(Render("{{ 'ab' is iterable }} {{ tools is iterable }} "
                   "{{ nothing is iterable }}"),
            "True False True");
}

TEST(ChatTemplateTest, PrintsAsPython) {
  EXPECT_EQ(Render("{{ none }} {{ true }} {{ 1.0 }} {{ 1e22 }}"),
            "None True 1.0 1e+22");
  EXPECT_EQ(Render("{{ x }}"), "{'a': 1, 'b': [True, None, 1.5, 'é\"<']}");
  EXPECT_EQ(Render("{{ nothing }}"), "");
}

TEST(ChatTemplateTest, WritesJsonAsPythonDoes) {
  EXPECT_EQ(Render("{{ x | tojson }}"),
            R"({"a": 1, "b": [true, null, 1.5, "é\"<"]})");
  EXPECT_EQ(Render("{{ x | tojson(ensure_ascii=true, sort_keys=true) }}"),
            R"({"a": 1, "b": [true, null, 1.5, "\u00e9\"<"]})");
  EXPECT_EQ(Render("{{ x.b[:2] | tojson(indent=2) }}"),
            "[\n  true,\n  null\n]");
  EXPECT_EQ(Render("{{ x.b[:2] | tojson(separators=(',', ':')) }}"),
            "[true,null]");
  EXPECT_EQ(Render("{{ [] | tojson(indent=2) }}"), "[]");
}

TEST(ChatTemplateTest, HasTheNamesThatTransformersAdds) {
  EXPECT_EQ(Render("{{ strftime_now('%d %b %Y %H:%M') }}"),
            "10 Jul 2025 12:00");
  EXPECT_EQ(Render("{% for i in range(9) %}{% if i == 1 %}{% continue %}"
                   "{% endif %}{% if i == 3 %}{% break %}{% endif %}{{ i }}"
                   "{% endfor %}"),
            "02");
  EXPECT_EQ(Render("a {%- generation -%} b {%- endgeneration %} c"), "ab c");
  EXPECT_EQ(Render("{{ 'generation' }}"), "generation");
}

TEST(ChatTemplateTest, RaisesWithTheTemplatesOwnMessage) {
  const std::string text =
      Render("{{ raise_exception('roles must alternate') }}");
  EXPECT_THAT(text, HasSubstr("INVALID_ARGUMENT: chat template: "));
  EXPECT_THAT(text, HasSubstr("roles must alternate"));
}

TEST(ChatTemplateTest, RefusesWhatDoesNotParse) {
  EXPECT_THAT(Render("{% if %}"), HasSubstr("INVALID_ARGUMENT"));
  EXPECT_THAT(Render("{{"), HasSubstr("INVALID_ARGUMENT"));
  EXPECT_THAT(Render("\xff"), HasSubstr("UTF-8"));
}

TEST(ChatTemplateTest, HostileTemplatesRunIntoALimit) {
  EXPECT_THAT(Render(std::string((64 << 10) + 1, 'a')),
              HasSubstr("limit of 65536 bytes"));
  EXPECT_THAT(Render("{% for i in range(9999) %}{% for j in range(9999) %}"
                     "{% endfor %}{% endfor %}"),
              HasSubstr("fuel"));
  EXPECT_THAT(Render("{% set s = 'a' * 1000000 %}{% for i in range(99) %}"
                     "{{ s }}{% endfor %}"),
              HasSubstr("limit of 16777216 bytes"));
  EXPECT_THAT(Render("{{ 'a' * 100000000000 }}"), HasSubstr("too large"));
  EXPECT_THAT(Render("{% macro f() %}{{ f() }}{% endmacro %}{{ f() }}"),
              HasSubstr("INVALID_ARGUMENT"));
  EXPECT_THAT(Render("{% include '/etc/passwd' %}"),
              HasSubstr("INVALID_ARGUMENT"));
  std::string deep;
  for (int i = 0; i < 10000; ++i) deep += "(";
  EXPECT_THAT(Render(absl::StrCat("{{ ", deep)), HasSubstr("INVALID_ARGUMENT"));
}

base::Json GoldenNames(const base::Json& messages, bool generation_prompt) {
  return {{"messages", messages}, {"tools", nullptr},
          {"documents", nullptr}, {"bos_token", "<BOS>"},
          {"eos_token", "<EOS>"}, {"pad_token", "<PAD>"},
          {"unk_token", "<UNK>"}, {"add_generation_prompt", generation_prompt}};
}

// Renderings by Jinja2 of 71 templates over ten conversations.
TEST(ChatTemplateGoldenTest, RendersAsJinja2) {
  const std::filesystem::path folder = TestData() / "assets/chat-templates";
  if (!std::filesystem::exists(folder)) {
    GTEST_SKIP() << "no test data at " << folder;
  }
  const base::Json conversations =
      *base::ParseJson(*base::ReadFile(folder / "conversations.json"));
  std::map<std::string, int> unequal;  // by template
  int num_equal = 0;
  int num_lines = 0;
  for (const base::Json& line : ReadGoldenLines(folder / "rendered.jsonl.gz")) {
    ++num_lines;
    const auto name = line["template"].get<std::string>();
    const auto source = base::ReadFile(folder / "templates" / name);
    ASSERT_TRUE(source.ok()) << source.status();
    const absl::StatusOr<ChatTemplate> compiled =
        ChatTemplate::Compile(*source);
    absl::StatusOr<std::string> text = absl::UnknownError("not rendered");
    if (compiled.ok()) {
      text = compiled->Render(
          GoldenNames(conversations[line["conversation"].get<std::string>()],
                      line["add_generation_prompt"].get<bool>()),
          kNow);
    }
    const bool equal = line.contains("error")
                           ? compiled.ok() && !text.ok()
                           : text.ok() && *text == line["text"];
    if (equal) {
      ++num_equal;
      continue;
    }
    ++unequal[name];
  }
  RecordProperty("equal_renderings", num_equal);
  EXPECT_EQ(num_lines, 1420);
  // Loops over None, where Jinja2 raises and minijinja sees nothing.
  EXPECT_THAT(
      unequal,
      ElementsAre(Pair(
          "llama.cpp/CohereForAI-c4ai-command-r-plus-tool_use.jinja", 20)));
}

}  // namespace
}  // namespace varalign::text
