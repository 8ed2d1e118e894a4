#include "tests/objective/rules.h"

namespace varalign::objective {
namespace {

using v1::Objective;
using Sets = std::vector<std::vector<uint32_t>>;

Sets SetsOf(const std::vector<uint32_t>& num_responses,
            Objective::Normalization normalization) {
  Objective rule = Preset(Objective::PRESET_VAR);
  rule.set_normalization(normalization);
  return ZSets(num_responses, rule);
}

TEST(ZSetsTest, PutsEveryRowInOneSet) {
  const struct {
    Objective::Normalization normalization;
    Sets sets;
  } kCases[] = {
      {Objective::NORMALIZATION_AUTO, {{0, 1}, {3, 4, 5}, {2, 6}}},
      {Objective::NORMALIZATION_GROUP, {{0, 1}, {2}, {3, 4, 5}, {6}}},
      {Objective::NORMALIZATION_BATCH, {{0, 1, 2, 3, 4, 5, 6}}},
      {Objective::NORMALIZATION_NONE, {{0, 1}, {2}, {3, 4, 5}, {6}}},
  };
  for (const auto& [normalization, sets] : kCases) {
    EXPECT_EQ(SetsOf({2, 1, 3, 1}, normalization), sets) << normalization;
  }
}

TEST(ZSetsTest, NoRowsMakeNoSet) {
  EXPECT_TRUE(SetsOf({}, Objective::NORMALIZATION_AUTO).empty());
  EXPECT_TRUE(SetsOf({}, Objective::NORMALIZATION_BATCH).empty());
}

}  // namespace
}  // namespace varalign::objective
