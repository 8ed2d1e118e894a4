#include "model/head_norm_kernel.h"

#include <algorithm>
#include <cmath>

#include "model/vector_math.h"

namespace varalign::model {
namespace {

template <typename T>
VARALIGN_INLINE void Norm(const HeadNormForward<T>& a, int64_t begin,
                          int64_t end) {
  const HeadCounts& heads = a.heads;
  const int64_t dim = heads.dim;
  const int64_t normed = heads.queries + heads.keys;
  for (int64_t row = begin; row < end; ++row) {
    const T* in = a.in + row * heads.all * dim;
    T* out = a.out + row * heads.all * dim;
    for (int64_t head = 0; head < normed; ++head) {
      const T* __restrict x = in + head * dim;
      const T* __restrict norm =
          head < heads.queries ? a.query_norm : a.key_norm;
      T* __restrict y = out + head * dim;
      const T squares = LaneSum<T>(dim, [&](int64_t i) { return x[i] * x[i]; });
      const T r = T(1) / std::sqrt(squares / static_cast<T>(dim) + a.eps);
      a.r[row * normed + head] = r;
      for (int64_t i = 0; i < dim; ++i) y[i] = x[i] * r * norm[i];
    }
    std::copy(in + normed * dim, in + heads.all * dim, out + normed * dim);
  }
}

template <typename T>
VARALIGN_INLINE void NormGrad(const HeadNormBackward<T>& a, int64_t begin,
                              int64_t end, T* dnorms) {
  const HeadCounts& heads = a.heads;
  const int64_t dim = heads.dim;
  const int64_t normed = heads.queries + heads.keys;
  for (int64_t row = begin; row < end; ++row) {
    const int64_t first = row * heads.all * dim;
    for (int64_t head = 0; head < normed; ++head) {
      const bool is_query = head < heads.queries;
      const T* __restrict x = a.in + first + head * dim;
      const T* __restrict dy = a.dout + first + head * dim;
      const T* __restrict norm = is_query ? a.query_norm : a.key_norm;
      T* __restrict dx = a.din + first + head * dim;
      T* __restrict dnorm = is_query ? dnorms : dnorms + dim;
      const T r = a.r[row * normed + head];
      const T dot =
          LaneSum<T>(dim, [&](int64_t i) { return dy[i] * norm[i] * x[i]; });
      const T c = -dot * r * r * r / static_cast<T>(dim);
      for (int64_t i = 0; i < dim; ++i) {
        dx[i] = dy[i] * norm[i] * r + x[i] * c;
        dnorm[i] += dy[i] * x[i] * r;
      }
    }
    std::copy(a.dout + first + normed * dim, a.dout + first + heads.all * dim,
              a.din + first + normed * dim);
  }
}

}  // namespace

VARALIGN_VECTOR_CLONES
void HeadNormRows(const HeadNormForward<float>& a, int64_t begin, int64_t end) {
  Norm(a, begin, end);
}
void HeadNormRows(const HeadNormForward<double>& a, int64_t begin,
                  int64_t end) {
  Norm(a, begin, end);
}

VARALIGN_VECTOR_CLONES
void HeadNormGradRows(const HeadNormBackward<float>& a, int64_t begin,
                      int64_t end, float* dnorms) {
  NormGrad(a, begin, end, dnorms);
}
void HeadNormGradRows(const HeadNormBackward<double>& a, int64_t begin,
                      int64_t end, double* dnorms) {
  NormGrad(a, begin, end, dnorms);
}

}  // namespace varalign::model
