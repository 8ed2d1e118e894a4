// Every file of tests/config/bad is refused with exactly the text beside it.
#include <algorithm>
#include <filesystem>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_replace.h"
#include "absl/time/clock.h"
#include "base/exit_code.h"
#include "base/file.h"
#include "config/run_config_loader.h"
#include "config/yaml_tree.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "tests/testing/test_data.h"

namespace varalign::config {
namespace {

namespace fs = std::filesystem;
using ::testing::HasSubstr;

fs::path CorpusDirectory() {
  return testing::SourceDirectory() / "tests/config/bad";
}

std::vector<std::string> CorpusNames() {
  std::vector<std::string> names;
  for (const auto& entry : fs::directory_iterator(CorpusDirectory())) {
    if (entry.path().extension() == ".yaml") {
      names.push_back(entry.path().stem().string());
    }
  }
  std::sort(names.begin(), names.end());
  return names;
}

absl::Status StatusOf(const std::string& yaml) {
  return ParseRunConfig(yaml, "run.yaml", {}).status();
}

class BadConfigTest : public ::testing::TestWithParam<std::string> {};

TEST_P(BadConfigTest, IsRefusedWithItsText) {
  const fs::path file = CorpusDirectory() / (GetParam() + ".yaml");
  const absl::Status status = LoadRunConfig(file, {}).status();
  EXPECT_EQ(base::ExitCodeFor(status), base::kExitBadConfig);
  const auto expected =
      base::ReadFile(CorpusDirectory() / (GetParam() + ".expected"));
  ASSERT_TRUE(expected.ok()) << expected.status();
  EXPECT_EQ(absl::StrReplaceAll(
                absl::StrCat(status.message(), "\n"),
                {{absl::StrCat(CorpusDirectory().string(), "/"), ""}}),
            *expected);
}

INSTANTIATE_TEST_SUITE_P(Corpus, BadConfigTest,
                         ::testing::ValuesIn(CorpusNames()),
                         [](const auto& test) { return test.param; });

TEST(BadConfigCorpusTest, IsThere) { EXPECT_GE(CorpusNames().size(), 25u); }

TEST(HostileConfigTest, AHugeFileIsRefusedUnread) {
  const fs::path file = fs::path(::testing::TempDir()) / "huge.yaml";
  ASSERT_TRUE(base::WriteFileAtomically(
                  file, "name: " + std::string(kMaxYamlBytes, 'x'))
                  .ok());
  const absl::Status status = LoadRunConfig(file, {}).status();
  EXPECT_EQ(base::ExitCodeFor(status), base::kExitBadConfig);
  EXPECT_THAT(std::string(status.message()),
              HasSubstr("huge.yaml:1:1: error: larger than 1048576 bytes"));
}

TEST(HostileConfigTest, TooManyNodesAreRefused) {
  std::string list = "x: [";
  for (int i = 0; i < 20'000; ++i) list += "1,";
  EXPECT_THAT(std::string(StatusOf(list + "1]").message()),
              HasSubstr("error: more than 10000 nodes"));
}

TEST(HostileConfigTest, NestingBeyondTheParserIsRefused) {
  for (const char* open : {"[", "{a: ", "- ", "? "}) {
    std::string text;
    while (text.size() < 200'000) text += open;
    EXPECT_EQ(base::ExitCodeFor(StatusOf(text)), base::kExitBadConfig) << open;
  }
}

TEST(HostileConfigTest, ManyErrorsAreCountedNotAllShown) {
  std::string text = "model: {path: small}\ndata: {path: hh}\n";
  for (int i = 0; i < 300; ++i) absl::StrAppend(&text, "key_", i, ": 1\n");
  const std::string message(StatusOf(text).message());
  EXPECT_EQ(std::count(message.begin(), message.end(), '\n'), 101);
  EXPECT_THAT(message, HasSubstr("\n... and 200 more\n300 errors; nothing"));
}

TEST(HostileConfigTest, AFullFileOfLongKeysTakesNoTime) {
  std::string text;
  while (text.size() + 200 < kMaxYamlBytes) {
    absl::StrAppend(&text, std::string(100, 'k'), text.size(), ": 1\n");
  }
  const absl::Time start = absl::Now();
  EXPECT_EQ(base::ExitCodeFor(StatusOf(text)), base::kExitBadConfig);
  EXPECT_LT(absl::Now() - start, absl::Seconds(10));
}

// Each prefix of a good file and each file with one byte changed ends in a
// status, whatever it says.
TEST(HostileConfigTest, NoDamageEndsTheProcess) {
  const std::string good =
      "model: {path: \"small\"}\ndata:\n  path: 'hh'\ntrain: {warmup: 3%}\n"
      "scoring: {timeout: 30s}\nobjective: {z: {block: 16}}\n";
  ASSERT_TRUE(StatusOf(good).ok()) << StatusOf(good);
  for (size_t size = 0; size < good.size(); ++size) {
    (void)StatusOf(good.substr(0, size));
  }
  for (size_t i = 0; i < good.size(); ++i) {
    for (const char c : {'\0', '\t', '\n', ' ', '"', '&', '*', ':', '[', '{',
                         '|', '\x80', '\xFF'}) {
      std::string damaged = good;
      damaged[i] = c;
      const absl::Status status = StatusOf(damaged);
      EXPECT_TRUE(status.ok() ||
                  base::ExitCodeFor(status) == base::kExitBadConfig);
    }
  }
}

}  // namespace
}  // namespace varalign::config
