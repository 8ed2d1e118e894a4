#include "rpc/token_span.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "tests/testing/status_matchers.h"

namespace varalign::rpc {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::varalign::testing::StatusIs;
using Ids = std::vector<uint32_t>;

TEST(TokenSpanTest, IdsAreLittleEndian) {
  const v1::TokenSpan span = ToTokenSpan(Ids{1, 0x01020304}, {});
  EXPECT_EQ(span.ids_le32(), std::string("\1\0\0\0\4\3\2\1", 8));
  EXPECT_EQ(span.reward_ids_le32(), "");
}

TEST(TokenSpanTest, BothViewsAreReadBack) {
  const v1::TokenSpan span = ToTokenSpan(Ids{7, 1u << 31}, Ids{8});
  EXPECT_THAT(*ReadIds(span.ids_le32(), ""), ElementsAre(7, 1u << 31));
  EXPECT_THAT(*ReadIds(span.reward_ids_le32(), ""), ElementsAre(8));
  EXPECT_THAT(*ReadIds("", ""), IsEmpty());
}

TEST(TokenSpanTest, HalfAnIdIsRefusedWithItsPlace) {
  EXPECT_THAT(ReadIds("abcde", "prompts[0].ids_le32").status(),
              StatusIs(absl::StatusCode::kInvalidArgument,
                       HasSubstr("prompts[0].ids_le32 has 5 bytes")));
}

TEST(PairCollectorTest, ResponsesShareTheirPrompt) {
  v1::Group group;
  PairCollector pairs(group);
  pairs.AddPrompt(Ids{1, 2}, Ids{1, 2, 3});
  pairs.AddResponse(Ids{4}, {});
  pairs.AddResponse(Ids{5, 6}, Ids{5});
  pairs.AddPrompt(Ids{9}, {});
  pairs.AddResponse(Ids{4}, {});
  ASSERT_EQ(group.prompts_size(), 2);
  ASSERT_EQ(group.pairs_size(), 3);
  const uint32_t prompts[] = {0, 0, 1};
  for (int i = 0; i < 3; ++i) {
    EXPECT_EQ(group.pairs(i).prompt(), prompts[i]);
    EXPECT_EQ(group.pairs(i).response(), static_cast<uint32_t>(i));
  }
  EXPECT_EQ(pairs.tokens(), 3u + 1 + 2 + 1 + 1);
}

}  // namespace
}  // namespace varalign::rpc
