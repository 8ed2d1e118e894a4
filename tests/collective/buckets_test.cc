#include "collective/buckets.h"

#include "gmock/gmock.h"
#include "gtest/gtest.h"

namespace varalign::collective {
namespace {

// An embedding of 100, layers of 30, a head of 103.
std::vector<Block> Blocks(int layers) {
  std::vector<Block> blocks = {
      {.name = "embedding", .begin = 0, .end = 100, .apart = true}};
  for (int i = 0; i < layers; ++i) {
    const int64_t begin = blocks.back().end;
    blocks.push_back({.name = "layer " + std::to_string(i),
                      .begin = begin,
                      .end = begin + 30});
  }
  const int64_t begin = blocks.back().end;
  blocks.push_back(
      {.name = "head", .begin = begin, .end = begin + 103, .apart = true});
  return blocks;
}

std::vector<std::string> Names(const std::vector<Bucket>& buckets) {
  std::vector<std::string> names;
  for (const Bucket& bucket : buckets) names.push_back(bucket.name);
  return names;
}

TEST(BucketsTest, MergeNeighboursUpToTheSizeAndKeepTablesApart) {
  EXPECT_THAT(Names(CutBuckets(Blocks(5), 60, 2)),
              ::testing::ElementsAre("embedding", "layer 0 to layer 1",
                                     "layer 2 to layer 3", "layer 4", "head"));
  EXPECT_THAT(
      Names(CutBuckets(Blocks(2), 1, 2)),
      ::testing::ElementsAre("embedding", "layer 0", "layer 1", "head"));
  EXPECT_THAT(
      Names(CutBuckets(Blocks(2), 1 << 20, 1)),
      ::testing::ElementsAre("embedding", "layer 0 to layer 1", "head"));
}

// Whatever the sizes: the buckets tile the buffer, the slices of the ranks tile
// each bucket, only the last may be ragged, and a bucket knows its blocks.
TEST(BucketsTest, TileTheBufferInEqualParts) {
  for (const int world_size : {1, 2, 3, 4, 7, 64, 1000}) {
    for (const int64_t min_elements : {1, 31, 64, 1000}) {
      for (const int layers : {1, 2, 9}) {
        const std::vector<Block> blocks = Blocks(layers);
        int64_t at = 0;
        for (const Bucket& bucket :
             CutBuckets(blocks, min_elements, world_size)) {
          EXPECT_EQ(bucket.begin, at);
          EXPECT_LT(bucket.begin, bucket.end);
          if (bucket.end != blocks.back().end) {
            EXPECT_EQ((bucket.end - bucket.begin) % world_size, 0);
          }
          for (size_t i = 0; i < blocks.size(); ++i) {
            EXPECT_EQ(
                blocks[i].begin < bucket.end && blocks[i].end > bucket.begin,
                i >= bucket.first_block && i < bucket.end_block);
          }
          for (int rank = 0; rank < world_size; ++rank) {
            const Slice slice = SliceOf(bucket, rank, world_size);
            EXPECT_EQ(slice.begin, at);
            EXPECT_LE(slice.begin, slice.end);
            at = slice.end;
          }
          EXPECT_EQ(at, bucket.end);
        }
        EXPECT_EQ(at, blocks.back().end);
      }
    }
  }
}

// Such as the embedding and the head of a model of which an adapter is trained.
TEST(BucketsTest, EmptyBlocksMakeNoBucketAndEveryBlockBehindHasOne) {
  const std::vector<Block> blocks = {
      {.name = "embedding", .begin = 0, .end = 0},
      {.name = "layer 0", .begin = 0, .end = 64},
      {.name = "layer 1", .begin = 64, .end = 128},
      {.name = "head", .begin = 128, .end = 128}};
  for (const int64_t min_elements : {1, 64, 100, 1000}) {
    const std::vector<Bucket> buckets = CutBuckets(blocks, min_elements, 2);
    EXPECT_EQ(buckets.size(), min_elements <= 64 ? 2u : 1u);
    for (const Bucket& bucket : buckets) EXPECT_LT(bucket.begin, bucket.end);
    EXPECT_LE(buckets.front().first_block, 1u);
    EXPECT_EQ(buckets.back().end_block, blocks.size());
  }
}

}  // namespace
}  // namespace varalign::collective
