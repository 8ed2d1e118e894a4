// Numbers of rows in bfloat16 (train.precision: bf16). On the host every kernel
// computes in float32: what it reads is widened, what it returns is rounded
// once. That proves the path that a device takes, slowly.
#ifndef VARALIGN_MODEL_WIDE_H_
#define VARALIGN_MODEL_WIDE_H_

#include <ATen/OpMathType.h>
#include <ATen/core/Tensor.h>

namespace varalign::model {

// The tensor in the dtype that is computed in: itself, unless it is bfloat16.
// Undefined stays undefined.
inline at::Tensor Wide(const at::Tensor& tensor) {
  return tensor.defined() ? tensor.to(at::toOpMathType(tensor.scalar_type()))
                          : tensor;
}

// What is computed, rounded to the dtype of `like`; itself where that has it.
inline at::Tensor RoundedLike(const at::Tensor& like, const at::Tensor& wide) {
  return wide.to(like.scalar_type());
}

// sum += a b, [n, k] x [k, m], in the precision of `sum`.
inline void AddProduct(const at::Tensor& a, const at::Tensor& b,
                       at::Tensor& sum) {
  sum.addmm_(a.to(sum.scalar_type()), b.to(sum.scalar_type()));
}

}  // namespace varalign::model

#endif  // VARALIGN_MODEL_WIDE_H_
