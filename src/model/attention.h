// Causal attention of packed sequences with rotary positions.
#ifndef VARALIGN_MODEL_ATTENTION_H_
#define VARALIGN_MODEL_ATTENTION_H_

#include <ATen/core/Tensor.h>

#include <cstdint>
#include <memory>
#include <vector>

#include "model/rotary.h"

namespace varalign::model {

// What every layer of one forward pass shares. Immutable.
struct AttentionLayout {
  std::vector<int64_t> cu_seqlens;  // [sequences + 1], from 0
  std::vector<int32_t> positions;   // [T]
  RotaryTable rotary;
  int64_t heads = 0;
  int64_t kv_heads = 0;
  int64_t dim = 0;  // of a head
};

// qkv [T, (heads + 2 kv_heads) * dim], queries first -> [T, heads * dim]. Each
// token sees the tokens of its own sequence up to itself. Rows behind the last
// sequence come out as zeros. A sequence's rows depend on nothing but that
// sequence: bit for bit, whatever the number of threads.
//
// The layout is shared with the backward pass, which outlives this call.
at::Tensor RotaryAttention(const at::Tensor& qkv,
                           std::shared_ptr<const AttentionLayout> layout);

}  // namespace varalign::model

#endif  // VARALIGN_MODEL_ATTENTION_H_
