// The decoder in plain ATen with the engine's own gradients: the oracle of the
// fused functions. Short, slow, obviously right.
#ifndef VARALIGN_TESTS_MODEL_PLAIN_DECODER_H_
#define VARALIGN_TESTS_MODEL_PLAIN_DECODER_H_

#include <ATen/core/Tensor.h>

#include <cstdint>
#include <span>
#include <utility>

#include "model/attention.h"
#include "model/parameters.h"

namespace varalign::model {

std::pair<at::Tensor, at::Tensor> PlainAddNorm(const at::Tensor& residual,
                                               const at::Tensor& delta,
                                               const at::Tensor& weight,
                                               double eps);
at::Tensor PlainSwiGlu(const at::Tensor& gate_up);
at::Tensor PlainHeadNorm(const at::Tensor& qkv, const at::Tensor& query_norm,
                         const at::Tensor& key_norm, int64_t kv_heads,
                         double eps);
at::Tensor PlainAttention(const at::Tensor& qkv, const AttentionLayout& layout);

// [T, H] after the final norm, all rows.
at::Tensor PlainForward(const Parameters& parameters, const at::Tensor& tokens,
                        std::span<const int64_t> cu_seqlens);

}  // namespace varalign::model

#endif  // VARALIGN_TESTS_MODEL_PLAIN_DECODER_H_
