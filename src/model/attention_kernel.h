// Causal attention of one segment on raw memory (CPU).
//
// Scores of a block of query rows against all keys they may see are formed at
// once: S = Q K^T / sqrt(dim), P = softmax(S), O = P V. The backward pass forms
// P again from the saved log-sum-exp. Blocks are fixed, so that each task does
// the same operations wherever its segment lies and whichever thread runs it.
// Keys that all rows of the segment see stand before its own in each block.
//
// Against ATen's CPU flash attention (8 heads of 64, 4 key heads, one thread,
// forward and backward, our rotation counted on our side alone): 0.7-0.9 of its
// speed on rows of 32 and 64 tokens, even at 128, 1.1-1.2 at 192, 1.3-1.5 from
// 256 to 700, 1.2 at 1,024. One path for all lengths is kept for its fixed
// order of operations.
#ifndef VARALIGN_MODEL_ATTENTION_KERNEL_H_
#define VARALIGN_MODEL_ATTENTION_KERNEL_H_

#include <cstdint>

namespace varalign::model {

// Keys and values [length, dim] of one key head.
template <typename T>
struct Keys {
  const T* k = nullptr;
  const T* v = nullptr;
  int64_t length = 0;
};

// A segment's slice of the packed buffers, row 0 being its first token.
template <typename T>
struct AttentionTask {
  const T* q;      // [keys.length, dim] of one query head, rows `stride` apart
  Keys<T> keys;    // its own: row i sees the first i + 1; rows stride apart
  Keys<T> seen;    // of what it continues: every row sees all; may be none
  int64_t stride;  // of q, k and v
  T* out;          // [keys.length, dim], rows `out_stride` apart
  int64_t out_stride;
  T* lse;  // [keys.length]
  int64_t dim;
};

void AttendForward(const AttentionTask<float>& task);
void AttendForward(const AttentionTask<double>& task);

template <typename T>
struct KeyGrads {
  T* dk;
  T* dv;
};

template <typename T>
struct AttentionGradTask {
  AttentionTask<T> forward;  // its out and lse are read
  const T* dout;             // rows out_stride apart
  T* dq;                     // rows stride apart, as are dk and dv
  KeyGrads<T> keys;
  KeyGrads<T> seen;   // always added to
  bool adds_to_keys;  // add to `keys` instead of setting them
};

void AttendBackward(const AttentionGradTask<float>& task);
void AttendBackward(const AttentionGradTask<double>& task);

}  // namespace varalign::model

#endif  // VARALIGN_MODEL_ATTENTION_KERNEL_H_
