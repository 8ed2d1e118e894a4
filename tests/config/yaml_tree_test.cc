#include "config/yaml_tree.h"

#include <string>

#include "gtest/gtest.h"

namespace varalign::config {
namespace {

// The tree on one line: kinds, texts and places.
std::string Show(const YamlNode& node) {
  std::string text = node.key.empty() ? "" : node.key + "=";
  switch (node.kind) {
    case YamlNode::Kind::kNothing:
      return text + "~";
    case YamlNode::Kind::kScalar:
      return text + "'" + node.text + "'@" + std::to_string(node.place.line) +
             ":" + std::to_string(node.place.column);
    default:
      break;
  }
  text += node.kind == YamlNode::Kind::kList ? "[" : "{";
  for (const YamlNode& item : node.items) text += Show(item) + " ";
  return text + (node.kind == YamlNode::Kind::kList ? "]" : "}");
}

std::string Parse(const std::string& yaml) {
  Diagnostics diagnostics;
  const auto tree = ParseYaml(yaml, diagnostics);
  return tree.has_value() && diagnostics.empty()
             ? Show(*tree)
             : std::string(diagnostics.ToStatus("f").message());
}

TEST(YamlTreeTest, KeepsOrderTextAndPlaces) {
  EXPECT_EQ(Parse("b: 012\n"
                  "a:\n"
                  "  - 'x'\n"
                  "  - {c: \"two\\nlines\"}\n"
                  "  -\n"),
            "{b='012'@1:4 a=['x'@3:5 {c='two\nlines'@4:9 } ~ ] }");
}

TEST(YamlTreeTest, CountsColumnsInBytesAsCompilersDo) {
  EXPECT_EQ(Parse("{größe: 1, 大: 2}"), "{größe='1'@1:11 大='2'@1:19 }");
}

TEST(YamlTreeTest, ReadsBlockScalars) {
  EXPECT_EQ(Parse("a: |\n  one\n  two\n"), "{a='one\ntwo\n'@1:4 }");
}

TEST(YamlTreeTest, NothingIsAnEmptyMap) {
  EXPECT_EQ(Parse(""), "{}");
  EXPECT_EQ(Parse("# a comment\n"), "{}");
}

bool IsRead(const std::string& yaml) {
  Diagnostics diagnostics;
  return ParseYaml(yaml, diagnostics).has_value() && diagnostics.empty();
}

std::string Nested(int depth) {
  const auto size = static_cast<size_t>(depth);
  return std::string(size, '[') + std::string(size, ']');
}

std::string ListOf(int num_items) {
  std::string list = "[";
  for (int i = 0; i < num_items; ++i) list += "1,";
  return list + "]";
}

TEST(YamlTreeTest, ReadsUpToEachLimitAndNoFurther) {
  EXPECT_TRUE(IsRead(Nested(kMaxYamlDepth)));
  EXPECT_FALSE(IsRead(Nested(kMaxYamlDepth + 1)));
  EXPECT_TRUE(IsRead(ListOf(kMaxYamlNodes - 1)));  // and the list itself
  EXPECT_FALSE(IsRead(ListOf(kMaxYamlNodes)));
  EXPECT_TRUE(IsRead(std::string(kMaxYamlBytes, ' ')));
  EXPECT_FALSE(IsRead(std::string(kMaxYamlBytes + 1, ' ')));
}

TEST(YamlTreeTest, RefusesKeysThatAreNoWords) {
  EXPECT_EQ(Parse("[a]: 1"),
            "f:1:1: error: a key must be a word\n1 error; nothing was started. "
            "Reference: docs/config.md");
}

}  // namespace
}  // namespace varalign::config
