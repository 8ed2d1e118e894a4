#include "base/packed_layout.h"

#include <algorithm>
#include <numeric>

namespace varalign::base {

PackedLayout PackedLayout::OfSequences(std::span<const int64_t> cu_seqlens) {
  return {.cu_seqlens = {cu_seqlens.begin(), cu_seqlens.end()},
          .continues = std::vector<int32_t>(cu_seqlens.size() - 1, kNothing)};
}

int32_t PackedLayout::Append(int64_t length, int32_t continued) {
  cu_seqlens.push_back(cu_seqlens.back() + length);
  continues.push_back(continued);
  return static_cast<int32_t>(continues.size()) - 1;
}

std::vector<int32_t> PackedLayout::Positions(int64_t num_rows) const {
  std::vector<int32_t> positions(static_cast<size_t>(num_rows), 0);
  for (size_t s = 0; s < num_segments(); ++s) {
    std::iota(positions.begin() + cu_seqlens[s],
              positions.begin() + cu_seqlens[s + 1],
              static_cast<int32_t>(first_position(s)));
  }
  return positions;
}

int64_t PackedLayout::NumPositions() const {
  int64_t most = 0;
  for (size_t s = 0; s < num_segments(); ++s) {
    most = std::max(most, first_position(s) + length(s));
  }
  return most;
}

std::vector<std::vector<size_t>> PackedLayout::Blocks() const {
  std::vector<std::vector<size_t>> blocks;
  std::vector<size_t> block_of(num_segments());
  for (size_t s = 0; s < num_segments(); ++s) {
    if (is_continuation(s)) continue;
    block_of[s] = blocks.size();
    blocks.push_back({s});
  }
  for (size_t s = 0; s < num_segments(); ++s) {
    if (!is_continuation(s)) continue;
    blocks[block_of[continued(s)]].push_back(s);
  }
  return blocks;
}

}  // namespace varalign::base
