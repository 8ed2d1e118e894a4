// A part of a model that keeps only its inputs for the backward pass.
#ifndef VARALIGN_MODEL_RERUN_H_
#define VARALIGN_MODEL_RERUN_H_

#include <ATen/core/Tensor.h>

#include <functional>
#include <vector>

namespace varalign::model {

using Tensors = std::vector<at::Tensor>;

// Tensors in, new tensors out, all defined: the same bits whenever it is called
// with the same ones.
using Part = std::function<Tensors(const Tensors& inputs)>;

// part(inputs). The backward pass runs `part` again on the same inputs and goes
// back through that: nothing that `part` makes is kept in between. `parameters`
// are the leaves that `part` uses; their gradients arrive as they would have
// without this function. What `part` refers to outlives the backward pass.
Tensors RunAgainInBackward(Part part, const Tensors& inputs,
                           const Tensors& parameters);

}  // namespace varalign::model

#endif  // VARALIGN_MODEL_RERUN_H_
