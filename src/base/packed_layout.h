// Which rows of a packed batch attend to which: what the packer of rows and the
// model agree on.
//
// Segments stand end to end. A segment is a text of its own, or it continues
// another one: its rows see all rows of that one, then their own up to
// themselves, and its positions go on where that one ends.
//
//     a prompt with two responses     [ prompt | response | response ]
//     cu_seqlens  0 5 8 12            continues  -, 0, 0
//     positions   0 1 2 3 4 | 5 6 7 | 5 6 7 8
//
// A text and what continues it are a block. No row sees another block, and no
// continuation sees another. A batch without sharing is one block a sequence,
// without continuations.
#ifndef VARALIGN_BASE_PACKED_LAYOUT_H_
#define VARALIGN_BASE_PACKED_LAYOUT_H_

#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

namespace varalign::base {

// Do the responses of a prompt continue one segment, so that the prompt is
// computed once, or is each a text with a copy of it?
enum class PromptSharing { kOff, kOn };

// A value. REQUIRES: what is continued has rows and continues nothing itself.
struct PackedLayout {
  static constexpr int32_t kNothing = -1;

  // [segments + 1], from 0: segment s is rows [cu_seqlens[s], cu_seqlens[s+1]).
  std::vector<int64_t> cu_seqlens = {0};
  // [segments]: index of the segment that this one continues, or kNothing.
  std::vector<int32_t> continues;

  // Every segment a text of its own.
  static PackedLayout OfSequences(std::span<const int64_t> cu_seqlens);

  // Returns the index of the new segment. Its length may be 0.
  int32_t Append(int64_t length, int32_t continued = kNothing);

  size_t num_segments() const { return continues.size(); }
  int64_t num_rows() const { return cu_seqlens.back(); }
  int64_t begin(size_t segment) const { return cu_seqlens[segment]; }
  int64_t length(size_t segment) const {
    return cu_seqlens[segment + 1] - cu_seqlens[segment];
  }
  bool is_continuation(size_t segment) const {
    return continues[segment] != kNothing;
  }
  // REQUIRES: is_continuation(segment).
  size_t continued(size_t segment) const {
    return static_cast<size_t>(continues[segment]);
  }
  // Position of the segment's first row: the rows that it sees beside its own.
  int64_t first_position(size_t segment) const {
    return is_continuation(segment) ? length(continued(segment)) : 0;
  }

  // [num_rows] position of each row in its text; 0 for rows behind the last
  // segment, which belong to nobody. REQUIRES: num_rows >= this->num_rows().
  std::vector<int32_t> Positions(int64_t num_rows) const;
  // One more than the largest position; 0 where there is no row.
  int64_t NumPositions() const;
  // The blocks: each lists its segments, ascending, the one that all others
  // continue first. A segment that continues a later one is in its block too.
  std::vector<std::vector<size_t>> Blocks() const;
};

}  // namespace varalign::base

#endif  // VARALIGN_BASE_PACKED_LAYOUT_H_
