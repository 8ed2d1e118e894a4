// RMSNorm of heads on raw memory, single-threaded; rows as in
// model/row_kernels.h, each by itself with the same operations.
#ifndef VARALIGN_MODEL_HEAD_NORM_KERNEL_H_
#define VARALIGN_MODEL_HEAD_NORM_KERNEL_H_

#include <cstdint>

namespace varalign::model {

// Heads of a row: `queries`, then `keys`, then others, which are copied.
struct HeadCounts {
  int64_t queries;
  int64_t keys;
  int64_t all;
  int64_t dim;
};

// For each query and key head x: r = 1 / sqrt(mean(x^2) + eps), out = x * r *
// norm. in, out [rows, all * dim]; r [rows, queries + keys]; norms [dim].
template <typename T>
struct HeadNormForward {
  HeadCounts heads;
  const T* in;
  const T* query_norm;
  const T* key_norm;
  T* out;
  T* r;
  T eps;
};
void HeadNormRows(const HeadNormForward<float>& a, int64_t begin, int64_t end);
void HeadNormRows(const HeadNormForward<double>& a, int64_t begin, int64_t end);

// din gets the gradient of `in`; dnorms [2, dim], of the query norm and of the
// key norm, the rows' part added.
template <typename T>
struct HeadNormBackward {
  HeadCounts heads;
  const T* dout;
  const T* in;
  const T* r;
  const T* query_norm;
  const T* key_norm;
  T* din;
};
void HeadNormGradRows(const HeadNormBackward<float>& a, int64_t begin,
                      int64_t end, float* dnorms);
void HeadNormGradRows(const HeadNormBackward<double>& a, int64_t begin,
                      int64_t end, double* dnorms);

}  // namespace varalign::model

#endif  // VARALIGN_MODEL_HEAD_NORM_KERNEL_H_
