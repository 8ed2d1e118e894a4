#include "base/packed_layout.h"

#include "gmock/gmock.h"
#include "gtest/gtest.h"

namespace varalign::base {
namespace {

using ::testing::ElementsAre;

TEST(PackedLayoutTest, PositionsRestartAtEachSequence) {
  const std::vector<int64_t> cu_seqlens = {0, 3, 3, 5};
  const PackedLayout layout = PackedLayout::OfSequences(cu_seqlens);
  EXPECT_THAT(layout.Positions(7), ElementsAre(0, 1, 2, 0, 1, 0, 0));
  EXPECT_EQ(layout.NumPositions(), 3);
  EXPECT_EQ(layout.num_rows(), 5);
}

TEST(PackedLayoutTest, ContinuationsGoOnWhereTheirPromptEnds) {
  PackedLayout layout;
  const int32_t one = layout.Append(2);
  const int32_t two = layout.Append(3);
  layout.Append(1);
  layout.Append(2, one);
  layout.Append(0, one);
  layout.Append(3, two);
  EXPECT_THAT(layout.Positions(11),
              ElementsAre(0, 1, 0, 1, 2, 0, 2, 3, 3, 4, 5));
  EXPECT_EQ(layout.NumPositions(), 6);
  EXPECT_EQ(layout.first_position(4), 2);
  EXPECT_EQ(layout.length(4), 0);
}

TEST(PackedLayoutTest, BlocksListTheTextThenItsContinuations) {
  PackedLayout layout;
  const int32_t one = layout.Append(2);
  const int32_t two = layout.Append(3);
  layout.Append(4, two);
  layout.Append(1);
  layout.Append(2, one);
  layout.Append(2, two);
  EXPECT_THAT(
      layout.Blocks(),
      ElementsAre(ElementsAre(0, 4), ElementsAre(1, 2, 5), ElementsAre(3)));
}

TEST(PackedLayoutTest, NoSegmentsHaveNoPositions) {
  const PackedLayout layout;
  EXPECT_THAT(layout.Positions(2), ElementsAre(0, 0));
  EXPECT_EQ(layout.NumPositions(), 0);
  EXPECT_TRUE(layout.Blocks().empty());
}

}  // namespace
}  // namespace varalign::base
