#include "base/utf8.h"

#include <string_view>

#include "gtest/gtest.h"

namespace varalign::base {
namespace {

TEST(Utf8Test, MeasuresCharacters) {
  EXPECT_EQ(Utf8Length("a"), 1u);
  EXPECT_EQ(Utf8Length(std::string_view("\0", 1)), 1u);
  EXPECT_EQ(Utf8Length("\x7F"), 1u);
  EXPECT_EQ(Utf8Length("\xC2\x80"), 2u);
  EXPECT_EQ(Utf8Length("\xE0\xA0\x80"), 3u);
  EXPECT_EQ(Utf8Length("\xED\x9F\xBF"), 3u);
  EXPECT_EQ(Utf8Length("\xEF\xBF\xBF"), 3u);
  EXPECT_EQ(Utf8Length("\xF0\x90\x80\x80"), 4u);
  EXPECT_EQ(Utf8Length("\xF4\x8F\xBF\xBF..."), 4u);
}

TEST(Utf8Test, IsZeroForWhatIsNoCharacter) {
  for (const char* text :
       {"\x80", "\xBF",                          // a continuation
        "\xC0\x80", "\xC1\xBF",                  // overlong
        "\xE0\x9F\xBF", "\xF0\x8F\xBF\xBF",      // overlong
        "\xED\xA0\x80", "\xED\xBF\xBF",          // surrogates
        "\xF4\x90\x80\x80", "\xF5\x80\x80\x80",  // above U+10FFFF
        "\xC2", "\xE0\xA0", "\xF0\x90\x80",      // cut off
        "\xC2"
        "a",
        "\xE0\xA0"
        "a",
        "\xF0\x90\x80"
        "a",
        "\xFE", "\xFF"}) {
    EXPECT_EQ(Utf8Length(text), 0u) << text;
  }
}

}  // namespace
}  // namespace varalign::base
