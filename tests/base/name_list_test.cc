#include "base/name_list.h"

#include <gtest/gtest.h>

namespace varalign::base {
namespace {

TEST(NameListTest, ListsAFewInOrder) {
  EXPECT_EQ(ListNames({}), "");
  EXPECT_EQ(ListNames({"b", "a"}), "a, b");
}

TEST(NameListTest, CountsWhatItLeavesOut) {
  std::vector<std::string> names;
  for (int i = 100; i < 125; ++i) names.push_back(std::to_string(i));
  const std::string text = ListNames(names);
  EXPECT_NE(text.find("119 and 5 more"), text.npos);
  EXPECT_EQ(text.find("120"), text.npos);
}

TEST(NameListTest, CutsLongNamesAndRemovesControlCharacters) {
  EXPECT_EQ(ListNames({std::string(5000, 'x')}).size(), 203u);
  EXPECT_EQ(ListNames({"a\x1b[31mb\n"}).find('\x1b'), std::string::npos);
}

}  // namespace
}  // namespace varalign::base
