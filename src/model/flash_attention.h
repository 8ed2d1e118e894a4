// ATen's variable-length flash attention (CUDA, bf16), the one place that names
// the op. Plain calls, not an autograd Function: attention that is split in two
// calls (a prompt shared by its responses) hands *merged* outputs back in.
//
// The backward pass adds with atomics, in any order, unless the process asked
// for determinism first:
//   at::globalContext().setDeterministicAlgorithms(true, /*warn_only=*/false)
#ifndef VARALIGN_MODEL_FLASH_ATTENTION_H_
#define VARALIGN_MODEL_FLASH_ATTENTION_H_

#include <ATen/core/Tensor.h>

#include <cstdint>

namespace varalign::model {

// S segments: segment s has query rows [cu_queries[s], cu_queries[s + 1]) and
// key rows [cu_keys[s], cu_keys[s + 1]).
struct FlashSegments {
  at::Tensor cu_queries;  // [S + 1] int32 on the device, from 0
  at::Tensor cu_keys;
  int64_t max_queries = 0;  // the longest segment, known to the host
  int64_t max_keys = 0;
};

// Which keys of its segment a query sees.
enum class FlashMask { kCausal, kFull };

struct FlashInputs {
  at::Tensor q;  // [T, heads, dim] bf16, the last dimension contiguous
  at::Tensor k;  // [U, kv_heads, dim]; heads is a multiple of kv_heads
  at::Tensor v;
  FlashSegments segments;
  FlashMask mask = FlashMask::kCausal;
  double scale = 1;  // of q k^T
};

struct FlashOutput {
  at::Tensor out;  // [T, heads, dim] bf16
  at::Tensor lse;  // [heads, T] float32
  // What the op wants back; without dropout it says nothing.
  at::Tensor rng_state;
  at::Tensor unused;
};

// Throws c10::Error for shapes or dtypes that the op refuses, and on a machine
// without it; the caller's thread has the boundary.
FlashOutput FlashAttention(const FlashInputs& inputs);

struct FlashGradients {
  at::Tensor dq;
  at::Tensor dk;
  at::Tensor dv;
};

// `output` is the call's own, or, where several calls were merged by their
// log-sum-exp, the merged out and lse: the gradients of the calls then add up.
FlashGradients FlashAttentionBackward(const at::Tensor& dout,
                                      const FlashInputs& inputs,
                                      const FlashOutput& output);

}  // namespace varalign::model

#endif  // VARALIGN_MODEL_FLASH_ATTENTION_H_
