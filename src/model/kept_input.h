// What a product's Function keeps of its input: the tensor, or how to form it.
#ifndef VARALIGN_MODEL_KEPT_INPUT_H_
#define VARALIGN_MODEL_KEPT_INPUT_H_

#include <torch/csrc/autograd/custom_function.h>

#include "model/recipe.h"

namespace varalign::model {

// For use within one forward and the backward pass that belongs to it. The
// caller saves `tensor` and `weight` with the others of its Function.
struct KeptInput {
  at::Tensor tensor;  // x, or what a recipe starts from
  at::Tensor weight;  // of a norm's recipe; else undefined
};

// Leaves the recipe's other parts in `ctx`.
KeptInput KeepInput(torch::autograd::AutogradContext* ctx, const at::Tensor& x,
                    const Recipe& recipe);

// x again, bit for bit.
at::Tensor FormInput(torch::autograd::AutogradContext* ctx,
                     const KeptInput& kept);

}  // namespace varalign::model

#endif  // VARALIGN_MODEL_KEPT_INPUT_H_
