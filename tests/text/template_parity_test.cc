// Chat templates against Jinja2: renderings of published templates, and small
// ones of this project for each feature that such templates use. Where Jinja2
// raises we refuse, and name the same line.
#include <gtest/gtest.h>

#include <filesystem>
#include <map>
#include <optional>
#include <regex>
#include <set>

#include "absl/time/civil_time.h"
#include "base/file.h"
#include "tests/testing/test_data.h"
#include "tests/text/golden_lines.h"
#include "text/chat_template.h"

namespace varalign::text {
namespace {

namespace fs = std::filesystem;

const absl::Time kNow =
    absl::FromCivil(absl::CivilSecond(2025, 7, 10, 12), absl::LocalTimeZone());

absl::StatusOr<std::string> Render(std::string_view source,
                                   const base::Json& names) {
  absl::StatusOr<ChatTemplate> compiled = ChatTemplate::Compile(source);
  if (!compiled.ok()) return compiled.status();
  return compiled->Render(names, kNow);
}

// Of "... (in chat_template:7)".
std::optional<int> LineOf(const absl::Status& status) {
  static const std::regex kPlace(R"(\(in chat_template:(\d+)\))");
  std::smatch match;
  const std::string message(status.message());
  if (!std::regex_search(message, match, kPlace)) return std::nullopt;
  return std::stoi(match[1]);
}

base::Json ReadJson(const fs::path& path) {
  return *base::ParseJson(*base::ReadFile(path));
}

base::Json Golden() {
  return ReadJson(testing::SourceDirectory() /
                  "tests/golden/text/templates.json");
}

TEST(TemplateParityTest, EachFeatureRendersAsJinja2) {
  const base::Json golden = Golden();
  for (const base::Json& item : golden["cases"]) {
    const auto source = item["template"].get<std::string>();
    const absl::StatusOr<std::string> text = Render(source, golden["names"]);
    if (item.contains("text")) {
      EXPECT_TRUE(text.ok()) << source << "\n" << text.status();
      EXPECT_EQ(text.value_or(""), item["text"]) << source;
      continue;
    }
    EXPECT_FALSE(text.ok()) << source << "\n" << *text;
    if (text.ok()) continue;
    EXPECT_EQ(LineOf(text.status()), item["line"].get<int>()) << source << "\n"
                                                              << text.status();
  }
}

base::Json Names(const base::Json& messages, bool generation_prompt) {
  return {{"messages", messages}, {"tools", nullptr},
          {"documents", nullptr}, {"bos_token", "<BOS>"},
          {"eos_token", "<EOS>"}, {"pad_token", "<PAD>"},
          {"unk_token", "<UNK>"}, {"add_generation_prompt", generation_prompt}};
}

TEST(TemplateParityTest, PublishedTemplatesRenderAsJinja2) {
  REQUIRE_TEST_DATA(folder, "assets/chat-templates");
  const base::Json conversations = ReadJson(folder / "conversations.json");
  std::map<std::string, std::set<int>> error_lines;
  int num_lines = 0;
  for (const base::Json& line : ReadGoldenLines(folder / "rendered.jsonl.gz")) {
    ++num_lines;
    const auto name = line["template"].get<std::string>();
    const std::string source = *base::ReadFile(folder / "templates" / name);
    const absl::StatusOr<std::string> text = Render(
        source, Names(conversations[line["conversation"].get<std::string>()],
                      line["add_generation_prompt"].get<bool>()));
    if (!line.contains("error")) {
      ASSERT_TRUE(text.ok()) << name << ": " << text.status();
      EXPECT_EQ(*text, line["text"]) << name << " " << line["conversation"];
      continue;
    }
    ASSERT_FALSE(text.ok()) << name << " " << line["conversation"];
    error_lines[name].insert(LineOf(text.status()).value_or(-1));
  }
  EXPECT_EQ(num_lines, 1420);
  for (const auto& [name, lines] : Golden()["error_lines"].items()) {
    EXPECT_EQ(error_lines[name], lines.get<std::set<int>>()) << name;
  }
}

// The end-to-end cases of another implementation, with tools and documents.
TEST(TemplateParityTest, CasesOfHuggingfaceJsRenderAsTheirs) {
  REQUIRE_TEST_DATA(file, "assets/chat-templates/hf_jinja_cases.json");
  const base::Json cases = ReadJson(file);
  EXPECT_EQ(cases.size(), 43u);
  for (const base::Json& item : cases) {
    if (!item["python_jinja2_agrees"].get<bool>()) continue;
    const absl::StatusOr<std::string> text =
        Render(item["template"].get<std::string>(), item["data"]);
    EXPECT_TRUE(text.ok()) << item["name"] << ": " << text.status();
    EXPECT_EQ(text.value_or(""), item["expected"]) << item["name"];
  }
}

}  // namespace
}  // namespace varalign::text
