// How to form a tensor again from tensors that are kept anyway.
#ifndef VARALIGN_MODEL_RECIPE_H_
#define VARALIGN_MODEL_RECIPE_H_

#include <ATen/core/Tensor.h>

namespace varalign::model {

// A value; the default says that the tensor itself is to be kept.
struct Recipe {
  enum class Kind { kNone, kNorm, kSwiGlu };

  // y of AddNorm from its x.
  static Recipe Norm(const at::Tensor& x, const at::Tensor& weight, double eps);
  // SwiGlu(gate_up).
  static Recipe SwiGlu(const at::Tensor& gate_up);

  // The tensor, bit for bit as it was. REQUIRES: kind is not kNone.
  at::Tensor Form() const;

  Kind kind = Kind::kNone;
  at::Tensor source = {};  // x [T, H], or gate_up [T, 2 I]
  at::Tensor weight = {};  // [H]; of a norm alone
  double eps = 0;
};

}  // namespace varalign::model

#endif  // VARALIGN_MODEL_RECIPE_H_
