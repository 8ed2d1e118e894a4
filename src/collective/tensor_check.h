// What every verb demands of its tensors, checked before anything is sent.
// Internal to `collective`.
#ifndef VARALIGN_COLLECTIVE_TENSOR_CHECK_H_
#define VARALIGN_COLLECTIVE_TENSOR_CHECK_H_

#include <ATen/core/Tensor.h>

#include "absl/status/status.h"

namespace varalign::collective {

// InvalidArgument, naming the verb's rule and what was given.
absl::Status CheckContiguous(const at::Tensor& tensor);
// whole [n * size], part [n]: one dtype, contiguous.
absl::Status CheckParts(const at::Tensor& whole, const at::Tensor& part,
                        int size);
absl::Status CheckSameSize(const at::Tensor& input, const at::Tensor& output);
absl::Status CheckRoot(int root, int size);

}  // namespace varalign::collective

#endif  // VARALIGN_COLLECTIVE_TENSOR_CHECK_H_
