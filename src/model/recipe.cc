#include "model/recipe.h"

#include <c10/core/GradMode.h>

#include "model/elementwise.h"

namespace varalign::model {

Recipe Recipe::Norm(const at::Tensor& x, const at::Tensor& weight, double eps) {
  return {.kind = Kind::kNorm, .source = x, .weight = weight, .eps = eps};
}

Recipe Recipe::SwiGlu(const at::Tensor& gate_up) {
  return {.kind = Kind::kSwiGlu, .source = gate_up};
}

at::Tensor Recipe::Form() const {
  const c10::NoGradGuard no_grad;
  if (kind == Kind::kNorm) return AddNorm(source, {}, weight, eps).second;
  return model::SwiGlu(source);
}

}  // namespace varalign::model
