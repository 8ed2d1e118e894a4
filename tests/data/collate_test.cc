#include "data/collate.h"

#include "gmock/gmock.h"
#include "gtest/gtest.h"

namespace varalign::data {
namespace {

using ::testing::ElementsAre;

std::vector<int64_t> Values(const at::Tensor& tensor) {
  const int64_t* begin = tensor.data_ptr<int64_t>();
  return {begin, begin + tensor.numel()};
}

TEST(PackRowsTest, LaysRowsEndToEndWithoutTheirLastToken) {
  const std::vector<uint32_t> p1 = {10, 11, 12}, r1 = {13, 14};
  const std::vector<uint32_t> p2 = {20}, r2 = {21, 22, 23};
  const std::vector<TokenRow> rows = {{p1, r1}, {p2, r2}};
  const PackedRows packed = PackRows(rows);
  EXPECT_THAT(Values(packed.tokens), ElementsAre(10, 11, 12, 13, 20, 21, 22));
  EXPECT_THAT(packed.layout.cu_seqlens, ElementsAre(0, 4, 7));
  EXPECT_THAT(Values(packed.targets), ElementsAre(13, 14, 21, 22, 23));
  EXPECT_THAT(Values(packed.loss_positions), ElementsAre(2, 3, 4, 5, 6));
  EXPECT_THAT(Values(packed.row_of_target), ElementsAre(0, 0, 1, 1, 1));
}

// The hidden state at a loss position has seen exactly the tokens before its
// target.
TEST(PackRowsTest, EveryResponseTokenIsPredictedFromItsPrefix) {
  const std::vector<uint32_t> prompt = {1, 2}, one = {3}, many = {4, 5, 6, 7};
  const std::vector<TokenRow> rows = {{prompt, one}, {prompt, many}};
  const PackedRows packed = PackRows(rows);
  const auto tokens = Values(packed.tokens), at = Values(packed.loss_positions),
             row = Values(packed.row_of_target);
  size_t target = 0;
  for (size_t r = 0; r < rows.size(); ++r) {
    std::vector<uint32_t> whole(rows[r].prompt.begin(), rows[r].prompt.end());
    for (const uint32_t id : rows[r].response) {
      EXPECT_EQ(row[target], static_cast<int64_t>(r));
      const auto begin = packed.layout.begin(r);
      const std::vector<uint32_t> seen(tokens.begin() + begin,
                                       tokens.begin() + at[target] + 1);
      EXPECT_EQ(seen, whole);
      whole.push_back(id);
      ++target;
    }
  }
}

TEST(PackRowsTest, NoRowsMakeEmptyTensors) {
  const PackedRows packed = PackRows({});
  EXPECT_EQ(packed.tokens.numel(), 0);
  EXPECT_EQ(packed.layout.num_segments(), 0u);
}

using Ids = std::vector<uint32_t>;

TEST(PackBlocksTest, PromptsStandFirstThenTheirResponses) {
  const Ids p1 = {10, 11}, p2 = {20, 21, 22};
  const Ids a = {1, 2, 3}, b = {4}, c = {5, 6}, d = {7, 8}, e = {9, 10, 11};
  const std::vector<TokenBlock> blocks = {{p1, {a, b, c}}, {p2, {d, e}}};
  const PackedRows packed = PackBlocks(blocks);
  EXPECT_THAT(Values(packed.tokens),
              ElementsAre(10, 11, 20, 21, 22, 1, 2, 5, 7, 9, 10));
  EXPECT_THAT(packed.layout.cu_seqlens, ElementsAre(0, 2, 5, 7, 8, 9, 11));
  EXPECT_THAT(packed.layout.continues, ElementsAre(-1, -1, 0, 0, 1, 1));
  EXPECT_THAT(Values(packed.targets),
              ElementsAre(1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11));
  EXPECT_THAT(Values(packed.row_of_target),
              ElementsAre(0, 0, 0, 1, 2, 2, 3, 3, 4, 4, 4));
  // The last prompt row is the loss row of every first token.
  EXPECT_THAT(Values(packed.loss_positions),
              ElementsAre(1, 5, 6, 1, 1, 7, 4, 8, 4, 9, 10));
}

TEST(PackBlocksTest, BlockOfOneResponseIsOneSequence) {
  const Ids prompt = {1, 2, 3}, response = {4, 5};
  const std::vector<TokenBlock> blocks = {{prompt, {response}}};
  const std::vector<TokenRow> rows = {{prompt, response}};
  const PackedRows block = PackBlocks(blocks), row = PackRows(rows);
  EXPECT_EQ(block.layout.cu_seqlens, row.layout.cu_seqlens);
  EXPECT_EQ(block.layout.continues, row.layout.continues);
  EXPECT_EQ(Values(block.tokens), Values(row.tokens));
  EXPECT_EQ(Values(block.loss_positions), Values(row.loss_positions));
}

TEST(PackBlocksTest, PromptIsComputedOnce) {
  const Ids prompt(7, 1), one(1, 2), many(5, 3);
  EXPECT_EQ(ComputedTokens({prompt, {many}}), 11u);
  EXPECT_EQ(ComputedTokens({prompt, {many, one, many}}), 15u);
}

}  // namespace
}  // namespace varalign::data
