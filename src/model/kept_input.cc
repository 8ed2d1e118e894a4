#include "model/kept_input.h"

namespace varalign::model {

using torch::autograd::AutogradContext;

KeptInput KeepInput(AutogradContext* ctx, const at::Tensor& x,
                    const Recipe& recipe) {
  ctx->saved_data["kind"] = static_cast<int64_t>(recipe.kind);
  ctx->saved_data["eps"] = recipe.eps;
  if (recipe.kind == Recipe::Kind::kNone) return {.tensor = x, .weight = {}};
  return {.tensor = recipe.source, .weight = recipe.weight};
}

at::Tensor FormInput(AutogradContext* ctx, const KeptInput& kept) {
  const Recipe recipe{
      .kind = static_cast<Recipe::Kind>(ctx->saved_data["kind"].toInt()),
      .source = kept.tensor,
      .weight = kept.weight,
      .eps = ctx->saved_data["eps"].toDouble()};
  return recipe.kind == Recipe::Kind::kNone ? kept.tensor : recipe.Form();
}

}  // namespace varalign::model
