// Memory for the largest tensors of a process.
#ifndef VARALIGN_MODEL_ZEROED_TENSOR_H_
#define VARALIGN_MODEL_ZEROED_TENSOR_H_

#include <ATen/core/Tensor.h>

#include <cstdint>

namespace varalign::model {

// Zeros [count] on the CPU that nobody has written yet: the system makes a page
// when it is first touched, by the thread that touches it, and a huge one where
// it may. at::zeros would write all of them before the values come.
at::Tensor ZeroedTensor(int64_t count, at::ScalarType dtype);

}  // namespace varalign::model

#endif  // VARALIGN_MODEL_ZEROED_TENSOR_H_
