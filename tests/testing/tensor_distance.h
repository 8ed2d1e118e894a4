// How far tensors of results are from what was expected.
#ifndef VARALIGN_TESTS_TESTING_TENSOR_DISTANCE_H_
#define VARALIGN_TESTS_TESTING_TENSOR_DISTANCE_H_

#include <ATen/ATen.h>

namespace varalign::testing {

// |a - b| / |b|, Euclidean. REQUIRES: the same shape. Not a number where b is
// zero.
inline double Distance(const at::Tensor& a, const at::Tensor& b) {
  return (a - b).norm().item<double>() / b.norm().item<double>();
}

}  // namespace varalign::testing

#endif  // VARALIGN_TESTS_TESTING_TENSOR_DISTANCE_H_
