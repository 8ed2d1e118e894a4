#include "text/chat_template.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "absl/strings/str_cat.h"
#include "absl/time/civil_time.h"

namespace varalign::text {
namespace {

using ::testing::HasSubstr;

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

TEST(ChatTemplateTest, LoopsOverNothingOnlyWhereItIsUndefined) {
  EXPECT_EQ(Render("{% for m in nothing %}x{% endfor %}."), ".");
  EXPECT_THAT(Render("a\n{% for m in tools if m %}x{% endfor %}"),
              HasSubstr("None is not iterable (in chat_template:2)"));
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

}  // namespace
}  // namespace varalign::text
