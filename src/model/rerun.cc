#include "model/rerun.h"

#include <ATen/ATen.h>
#include <c10/core/GradMode.h>
#include <torch/csrc/autograd/autograd.h>
#include <torch/csrc/autograd/custom_function.h>

#include <utility>

namespace varalign::model {
namespace {

using torch::autograd::AutogradContext;
using torch::autograd::variable_list;

struct PartHolder : torch::CustomClassHolder {
  explicit PartHolder(Part value) : part(std::move(value)) {}
  const Part part;
};

// Tensors of the same values in which a new graph begins.
Tensors Leaves(const variable_list& inputs) {
  Tensors leaves;
  for (const at::Tensor& input : inputs) {
    leaves.push_back(input.detach().requires_grad_(input.requires_grad()));
  }
  return leaves;
}

// Goes back through a graph from those of its outputs that have a gradient. The
// engine also brings one for an output that depends on nothing that is trained.
void BackwardFrom(const Tensors& outputs, const variable_list& grads) {
  Tensors roots, root_grads;
  for (size_t i = 0; i < outputs.size(); ++i) {
    if (!grads[i].defined() || !outputs[i].requires_grad()) continue;
    roots.push_back(outputs[i]);
    root_grads.push_back(grads[i]);
  }
  if (!roots.empty()) torch::autograd::backward(roots, root_grads);
}

class RerunFunction : public torch::autograd::Function<RerunFunction> {
 public:
  // The parameters are arguments so that the engine sees that gradients are
  // wanted even where no input requires one.
  static variable_list forward(AutogradContext* ctx, at::TensorList inputs,
                               at::TensorList parameters,
                               const c10::intrusive_ptr<PartHolder>& holder) {
    ctx->save_for_backward(inputs.vec());
    ctx->set_materialize_grads(false);
    ctx->saved_data["part"] = at::IValue::make_capsule(holder);
    ctx->saved_data["parameters"] = static_cast<int64_t>(parameters.size());
    return holder->part(inputs.vec());
  }

  static variable_list backward(AutogradContext* ctx, variable_list grads) {
    const auto capsule = ctx->saved_data["part"].toCapsule();
    const Tensors leaves = Leaves(ctx->get_saved_variables());
    {
      const c10::AutoGradMode recording(true);
      BackwardFrom(static_cast<const PartHolder&>(*capsule).part(leaves),
                   grads);
    }
    variable_list result;
    for (const at::Tensor& leaf : leaves) result.push_back(leaf.grad());
    // The parameters have theirs; the part has none.
    const int64_t parameters = ctx->saved_data["parameters"].toInt();
    result.resize(result.size() + static_cast<size_t>(parameters) + 1);
    return result;
  }
};

}  // namespace

Tensors RunAgainInBackward(Part part, const Tensors& inputs,
                           const Tensors& parameters) {
  return RerunFunction::apply(at::TensorList(inputs),
                              at::TensorList(parameters),
                              c10::make_intrusive<PartHolder>(std::move(part)));
}

}  // namespace varalign::model
