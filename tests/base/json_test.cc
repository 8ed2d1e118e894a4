#include "base/json.h"

#include <gtest/gtest.h>

#include <string>

#include "tests/testing/status_matchers.h"

namespace varalign::base {
namespace {

using ::testing::AllOf;
using ::testing::HasSubstr;
using ::varalign::testing::StatusIs;

std::string Nested(size_t depth) {
  return std::string(depth, '[') + std::string(depth, ']');
}

TEST(JsonTest, ReadsEveryKindOfValue) {
  ASSERT_OK_AND_ASSIGN(
      const Json json,
      ParseJson(R"( {"n":null,"t":true,"i":-3,"u":7,"d":2.5e1,"s":"\u00e4\n",)"
                R"("a":[1,[],{}],"o":{"k":"v"}} )"));
  EXPECT_TRUE(json["n"].is_null());
  EXPECT_EQ(json["t"], true);
  EXPECT_EQ(json["i"], -3);
  EXPECT_EQ(json["u"], 7);
  EXPECT_EQ(json["d"], 25.0);
  EXPECT_EQ(json["s"], "ä\n");
  EXPECT_EQ(json["a"], Json::parse("[1,[],{}]"));
  EXPECT_EQ(json["o"]["k"], "v");
}

TEST(JsonTest, KeepsTheOrderOfKeys) {
  const std::string text = R"({"z":1,"a":{"y":2,"b":3},"m":4})";
  ASSERT_OK_AND_ASSIGN(const Json json, ParseJson(text));
  EXPECT_EQ(DumpJson(json), text);
}

TEST(JsonTest, IntegersOf64BitsAreExact) {
  ASSERT_OK_AND_ASSIGN(
      const Json json,
      ParseJson("[18446744073709551615,-9223372036854775808]"));
  EXPECT_EQ(json[0].get<uint64_t>(), UINT64_MAX);
  EXPECT_EQ(json[1].get<int64_t>(), INT64_MIN);
}

TEST(JsonTest, RefusesWhatOurRulesForbid) {
  const struct {
    const char* situation;
    std::string text;
    const char* reason;
  } kCases[] = {
      {"nothing", "", "unexpected end of input"},
      {"two documents", "{} {}", "expected end of input"},
      {"cut off", R"({"a":[1,2)", "unexpected end of input"},
      {"trailing comma", "[1,]", "syntax error"},
      {"comment", "[1 /* one */]", "syntax error"},
      {"not a number", "[NaN]", "syntax error"},
      {"2^64", "[18446744073709551616]", "does not fit 64 bits"},
      {"below -2^63", "[-9223372036854775809]", "does not fit 64 bits"},
      {"above any double", "[1e999]", "1e999"},
      {"duplicate key", R"({"a":1,"b":2,"a":3})", "duplicate key: \"a\""},
      {"duplicate by escape", R"({"a":1,"\u0061":3})", "duplicate key"},
      {"duplicate further in", R"([{"k":{"x":1,"x":1}}])", "duplicate key"},
      {"bare byte", "[\"\xff\"]", "ill-formed UTF-8"},
      {"overlong form", "[\"\xc0\xaf\"]", "ill-formed UTF-8"},
      {"surrogate in UTF-8", "[\"\xed\xa0\x80\"]", "ill-formed UTF-8"},
      {"half a pair", R"(["\ud800"])", "surrogate"},
      {"control byte", "[\"\x01\"]", "control character"},
      {"too deep", Nested(65), "deeper than 64"},
      {"bomb", Nested(1'000'000), "deeper than 64"},
      {"bomb of objects",
       [] {
         std::string text;
         for (int i = 0; i < 100'000; ++i) text += "{\"a\":";
         return text;
       }(),
       "deeper than 64"},
  };
  for (const auto& [situation, text, reason] : kCases) {
    EXPECT_THAT(ParseJson(text), StatusIs(absl::StatusCode::kInvalidArgument,
                                          AllOf(HasSubstr("bad JSON at byte"),
                                                HasSubstr(reason))))
        << situation;
  }
}

TEST(JsonTest, DepthOf64IsFine) { EXPECT_OK(ParseJson(Nested(64))); }

TEST(JsonTest, SameKeyInSiblingsIsNoDuplicate) {
  EXPECT_OK(ParseJson(R"([{"a":1},{"a":1,"b":{"a":1}}])"));
}

TEST(JsonTest, ErrorTellsTheByte) {
  EXPECT_THAT(
      ParseJson(R"({"a":1,"a":2})"),
      StatusIs(absl::StatusCode::kInvalidArgument, HasSubstr("at byte 10:")));
  EXPECT_THAT(ParseJson("[1,?]"), StatusIs(absl::StatusCode::kInvalidArgument,
                                           HasSubstr("at byte 4:")));
}

TEST(JsonTest, ErrorsAreNotInTheWordsOfALibrary) {
  for (const char* text : {"", "{", "[1,?]", "{\"a\":1}x", "nul"}) {
    const std::string message(ParseJson(text).status().message());
    EXPECT_EQ(message.find("exception"), std::string::npos) << message;
    EXPECT_EQ(message.find("parse error at"), std::string::npos) << message;
  }
}

// Time that grows with the square of the keys would be a way to stall us.
TEST(JsonTest, ManyKeysReadInLinearTime) {
  std::string text = "{";
  for (int i = 0; i < 200'000; ++i) {
    text += "\"k" + std::to_string(i) + "\":0,";
  }
  text.back() = '}';
  ASSERT_OK_AND_ASSIGN(const Json json, ParseJson(text));
  EXPECT_EQ(json.size(), 200'000u);
}

TEST(JsonTest, DumpReplacesBadUtf8) {
  EXPECT_EQ(DumpJson(Json("a\xff")), "\"a\xef\xbf\xbd\"");
}

TEST(JsonTest, PrettyIsIndentedAndEndsItsLine) {
  EXPECT_EQ(DumpJsonPretty(Json::parse(R"({"a":[1]})")),
            "{\n  \"a\": [\n    1\n  ]\n}\n");
}

}  // namespace
}  // namespace varalign::base
