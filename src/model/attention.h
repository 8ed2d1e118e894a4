// Causal attention of packed rows with rotary positions.
//
// A segment that continues another one (base/packed_layout.h) sees all keys of
// that one, then its own. On the host the keys are one list of two parts in one
// kernel. A device's path fits behind the same function: a causal call of
// variable-length attention over all segments, a full call of the continuations
// over the keys that they continue, merged by log-sum-exp; backward, each call
// again with the merged output and log-sum-exp, their gradients added up.
#ifndef VARALIGN_MODEL_ATTENTION_H_
#define VARALIGN_MODEL_ATTENTION_H_

#include <ATen/core/Tensor.h>

#include <cstdint>
#include <memory>
#include <vector>

#include "base/packed_layout.h"
#include "model/rotary.h"

namespace varalign::model {

// What every layer of one forward pass shares. Immutable.
struct AttentionLayout {
  base::PackedLayout packed;
  std::vector<int32_t> positions;  // [T]
  RotaryTable rotary;
  int64_t heads = 0;
  int64_t kv_heads = 0;
  int64_t dim = 0;  // of a head
};

// qkv [T, (heads + 2 kv_heads) * dim], queries first -> [T, heads * dim]. Rows
// behind the last segment come out as zeros. A segment's rows depend on nothing
// but that segment and the one it continues, and its gradients on nothing but
// its block: bit for bit, whatever the number of threads.
//
// The layout is shared with the backward pass, which outlives this call.
at::Tensor RotaryAttention(const at::Tensor& qkv,
                           std::shared_ptr<const AttentionLayout> layout);

}  // namespace varalign::model

#endif  // VARALIGN_MODEL_ATTENTION_H_
