// How a flat buffer is cut into buckets, the units in which gradients are
// reduced and parameters gathered while the passes over the model still run.
// Pure: the same cut on every rank.
#ifndef VARALIGN_COLLECTIVE_BUCKETS_H_
#define VARALIGN_COLLECTIVE_BUCKETS_H_

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <vector>

namespace varalign::collective {

// Neighbouring elements of the buffer whose gradients are complete together.
struct Block {
  std::string name;  // "layer 3"
  int64_t begin = 0;
  int64_t end = 0;
  // A bucket alone, like an embedding: it is large, and complete much earlier
  // or later than its neighbours.
  bool apart = false;
};

struct Bucket {
  std::string name;  // "layer 0 to layer 3"
  int64_t begin = 0;
  int64_t end = 0;
  // The blocks [first_block, end_block) have elements in it.
  size_t first_block = 0;
  size_t end_block = 0;
};

// Merges neighbours until a bucket has `min_elements`. Every bucket but the
// last begins and ends at a multiple of `world_size`, so that its parts are of
// equal size and it moves without a copy; to that end it takes a few elements
// of the next block. An empty block may be in no bucket, but for those behind
// all elements: they are in the last. REQUIRES: `blocks` tile [0, P) in order,
// P > 0.
std::vector<Bucket> CutBuckets(std::span<const Block> blocks,
                               int64_t min_elements, int world_size);

// What of `bucket` moves: equal parts for all ranks. Where its size is no
// multiple of the world size, it has zeros behind it.
int64_t PaddedSize(const Bucket& bucket, int world_size);

// The range of `bucket` that `rank` owns. Equal on all ranks but for a bucket
// whose size is no multiple of the world size: there the last may own less, or
// nothing.
struct Slice {
  int64_t begin = 0;
  int64_t end = 0;
  int64_t size() const { return end - begin; }
};
Slice SliceOf(const Bucket& bucket, int rank, int world_size);

}  // namespace varalign::collective

#endif  // VARALIGN_COLLECTIVE_BUCKETS_H_
