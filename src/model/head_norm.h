// RMSNorm of query and key heads (Qwen3), between projection and rotation.
#ifndef VARALIGN_MODEL_HEAD_NORM_H_
#define VARALIGN_MODEL_HEAD_NORM_H_

#include <ATen/core/Tensor.h>

#include <cstdint>

namespace varalign::model {

// qkv [T, (heads + 2 kv_heads) * dim], queries first -> the same shape: each
// query head normalised by itself and scaled by query_norm [dim], each key head
// by key_norm [dim], values as they are. The norms' gradients are added up as
// in Linear, in an order that does not depend on the number of threads.
at::Tensor HeadNorm(const at::Tensor& qkv, const at::Tensor& query_norm,
                    const at::Tensor& key_norm, int64_t kv_heads, double eps);

}  // namespace varalign::model

#endif  // VARALIGN_MODEL_HEAD_NORM_H_
