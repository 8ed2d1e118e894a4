#include "base/logging.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <regex>

#include "tests/testing/status_matchers.h"

namespace varalign::base {
namespace {

using ::testing::EndsWith;
using ::testing::internal::CaptureStderr;
using ::testing::internal::GetCapturedStderr;

class LoggingTest : public ::testing::Test {
 protected:
  void SetUp() override {
    CaptureStderr();
    InitLogging("trainer", LogLevel::kInfo, {{"run", "r-1"}, {"rank", 2}});
  }
};

TEST_F(LoggingTest, LineIsOneJsonObjectWithContext) {
  LogInfo("step", {{"step", 12}, {"loss", 1.5}, {"last", false}});
  const std::string text = GetCapturedStderr();
  EXPECT_EQ(std::count(text.begin(), text.end(), '\n'), 1);
  ASSERT_OK_AND_ASSIGN(Json line, ParseJson(text));
  EXPECT_TRUE(std::regex_match(
      line["time"].get<std::string>(),
      std::regex(R"(\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z)")));
  line["time"] = "now";
  EXPECT_EQ(DumpJson(line),
            R"({"time":"now","level":"info","role":"trainer","event":"step",)"
            R"("run":"r-1","rank":2,"step":12,"loss":1.5,"last":false})");
}

TEST_F(LoggingTest, LevelsBelowTheChosenAreSilent) {
  LogDebug("hidden");
  EXPECT_EQ(GetCapturedStderr(), "");
  CaptureStderr();
  LogWarning("seen");
  LogError("seen too");
  const std::string text = GetCapturedStderr();
  EXPECT_THAT(text, ::testing::HasSubstr(R"("level":"warning")"));
  EXPECT_THAT(text, ::testing::HasSubstr(R"("level":"error")"));
}

TEST_F(LoggingTest, ForeignTextReachesNoTerminal) {
  LogInfo("row", {{"text", "a\x1b[31mred\x1b[0m\x1b]0;title\a"},
                  {"list", Json::array({"x\x1b[2Jy"})}});
  ASSERT_OK_AND_ASSIGN(const Json line, ParseJson(GetCapturedStderr()));
  EXPECT_EQ(line["text"], "ared");
  EXPECT_EQ(line["list"][0], "xy");
}

TEST_F(LoggingTest, BadUtf8AndNewlinesStayOnOneLine) {
  LogInfo("row", {{"text", "a\nb\xff"}});
  const std::string text = GetCapturedStderr();
  EXPECT_EQ(std::count(text.begin(), text.end(), '\n'), 1);
  EXPECT_THAT(text, EndsWith("}\n"));
  EXPECT_OK(ParseJson(text));
}

TEST_F(LoggingTest, BracesOfTheFormatLibraryAreText) {
  LogInfo("{} {0:s} %v", {{"x", "{}"}});
  ASSERT_OK_AND_ASSIGN(const Json line, ParseJson(GetCapturedStderr()));
  EXPECT_EQ(line["event"], "{} {0:s} %v");
}

TEST(StripControlTest, TakesOutWhatATerminalWouldObey) {
  const struct {
    const char* situation;
    std::string text;
    std::string kept;
  } kCases[] = {
      {"plain text", "Grüße, 世界\n\tx", "Grüße, 世界\n\tx"},
      {"colour", "a\x1b[1;31mb", "ab"},
      {"title ended by BEL", "a\x1b]0;evil\ab", "ab"},
      {"title ended by ST", "a\x1b]0;evil\x1b\\b", "ab"},
      {"title that never ends keeps its text", "a\x1b]0;evil", "a0;evil"},
      {"device string", "a\x1bPq#1\x1b\\b", "ab"},
      {"reset",
       "a\x1b"
       "cb",
       "ab"},
      {"escape at the end", "a\x1b", "a"},
      {"sequence cut off", "a\x1b[31", "a"},
      {"CSI of one code point",
       "a\xc2\x9b"
       "31mb",
       "ab"},
      {"other C1",
       "a\xc2\x85"
       "b",
       "ab"},
      {"no-break space is no control",
       "a\xc2\xa0"
       "b",
       "a\xc2\xa0"
       "b"},
      {"backspace, bell, return, delete",
       "a\b\a\r\x7f"
       "b",
       "ab"},
      {"nul", std::string("a\0b", 3), "ab"},
      {"escape before a newline", "a\x1b\nb", "a\nb"},
      {"escape before UTF-8", "a\x1bäb", "aäb"},
  };
  for (const auto& [situation, text, kept] : kCases) {
    EXPECT_EQ(StripControl(text), kept) << situation;
  }
}

}  // namespace
}  // namespace varalign::base
