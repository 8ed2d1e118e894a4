#include "collective/buckets.h"

#include <algorithm>

#include "absl/strings/str_cat.h"
#include "base/round_up.h"

namespace varalign::collective {
namespace {

// Indices of the blocks after which a bucket ends.
std::vector<size_t> Cuts(std::span<const Block> blocks, int64_t min_elements) {
  std::vector<size_t> cuts;
  int64_t elements = 0;
  for (size_t i = 0; i < blocks.size(); ++i) {
    elements += blocks[i].end - blocks[i].begin;
    const bool is_last = i + 1 == blocks.size();
    if (is_last || elements >= min_elements || blocks[i].apart ||
        blocks[i + 1].apart) {
      cuts.push_back(i + 1);
      elements = 0;
    }
  }
  return cuts;
}

std::string Name(std::span<const Block> blocks) {
  return blocks.size() == 1
             ? blocks.front().name
             : absl::StrCat(blocks.front().name, " to ", blocks.back().name);
}

}  // namespace

std::vector<Bucket> CutBuckets(std::span<const Block> blocks,
                               int64_t min_elements, int world_size) {
  const int64_t total = blocks.back().end;
  std::vector<Bucket> buckets;
  int64_t begin = 0;
  size_t first = 0;
  for (const size_t cut : Cuts(blocks, min_elements)) {
    const int64_t end =
        std::min(total, base::RoundUp(blocks[cut - 1].end, world_size));
    // A block of fewer elements than ranks may be in the last bucket already.
    if (end == begin) continue;
    while (blocks[first].end <= begin) ++first;
    size_t past = cut;
    // What is empty at the end is in the last bucket.
    while (past < blocks.size() && (blocks[past].begin < end || end == total)) {
      ++past;
    }
    buckets.push_back({.name = Name(blocks.subspan(first, cut - first)),
                       .begin = begin,
                       .end = end,
                       .first_block = first,
                       .end_block = past});
    begin = end;
    first = cut;
  }
  return buckets;
}

int64_t PaddedSize(const Bucket& bucket, int world_size) {
  return base::RoundUp(bucket.end - bucket.begin, world_size);
}

Slice SliceOf(const Bucket& bucket, int rank, int world_size) {
  const int64_t part = PaddedSize(bucket, world_size) / world_size;
  return {.begin = std::min(bucket.begin + part * rank, bucket.end),
          .end = std::min(bucket.begin + part * (rank + 1), bucket.end)};
}

}  // namespace varalign::collective
