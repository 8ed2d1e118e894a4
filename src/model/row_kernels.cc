#include "model/row_kernels.h"

#include <algorithm>
#include <cmath>

#include "model/vector_math.h"

namespace varalign::model {
namespace {

template <typename T>
VARALIGN_INLINE void AddNorm(const NormForward<T>& a, int64_t begin,
                             int64_t end) {
  const int64_t width = a.width;
  const T* __restrict weight = a.weight;
  for (int64_t row = begin; row < end; ++row) {
    const T* __restrict residual = a.residual + row * width;
    T* __restrict x = a.x + row * width;
    T* __restrict y = a.y + row * width;
    if (a.delta == nullptr) {
      for (int64_t i = 0; i < width; ++i) x[i] = residual[i];
    } else {
      const T* __restrict delta = a.delta + row * width;
      for (int64_t i = 0; i < width; ++i) x[i] = residual[i] + delta[i];
    }
    const T squares = LaneSum<T>(width, [&](int64_t i) { return x[i] * x[i]; });
    const T r = T(1) / std::sqrt(squares / static_cast<T>(width) + a.eps);
    a.r[row] = r;
    for (int64_t i = 0; i < width; ++i) y[i] = x[i] * r * weight[i];
  }
}

template <typename T>
VARALIGN_INLINE void AddNormGrad(const NormBackward<T>& a, int64_t begin,
                                 int64_t end, T* __restrict dweight) {
  const int64_t width = a.width;
  const T* __restrict weight = a.weight;
  for (int64_t row = begin; row < end; ++row) {
    const T* __restrict x = a.x + row * width;
    const T* __restrict dy = a.dy + row * width;
    T* __restrict d = a.d + row * width;
    const T r = a.r[row];
    const T dot =
        LaneSum<T>(width, [&](int64_t i) { return dy[i] * weight[i] * x[i]; });
    const T c = -dot * r * r * r / static_cast<T>(width);
    if (a.dx == nullptr) {
      for (int64_t i = 0; i < width; ++i) {
        d[i] = dy[i] * weight[i] * r + x[i] * c;
        dweight[i] += dy[i] * x[i] * r;
      }
    } else {
      const T* __restrict dx = a.dx + row * width;
      for (int64_t i = 0; i < width; ++i) {
        d[i] = dx[i] + (dy[i] * weight[i] * r + x[i] * c);
        dweight[i] += dy[i] * x[i] * r;
      }
    }
  }
}

template <typename T>
VARALIGN_INLINE void SwiGlu(const T* gate_up, int64_t width, int64_t begin,
                            int64_t end, T* out) {
  for (int64_t row = begin; row < end; ++row) {
    const T* __restrict gate = gate_up + row * 2 * width;
    const T* __restrict up = gate + width;
    T* __restrict result = out + row * width;
    for (int64_t i = 0; i < width; ++i) {
      result[i] = gate[i] / (T(1) + Exp(-gate[i])) * up[i];
    }
  }
}

template <typename T>
VARALIGN_INLINE void SwiGluGrad(const T* gate_up, const T* dout, int64_t width,
                                int64_t begin, int64_t end, T* dgate_up) {
  for (int64_t row = begin; row < end; ++row) {
    const T* __restrict gate = gate_up + row * 2 * width;
    const T* __restrict up = gate + width;
    const T* __restrict dh = dout + row * width;
    T* __restrict dgate = dgate_up + row * 2 * width;
    T* __restrict dup = dgate + width;
    for (int64_t i = 0; i < width; ++i) {
      const T sigmoid = T(1) / (T(1) + Exp(-gate[i]));
      const T silu = gate[i] * sigmoid;
      dup[i] = dh[i] * silu;
      dgate[i] = dh[i] * up[i] * (sigmoid + silu * (T(1) - sigmoid));
    }
  }
}

template <typename T>
VARALIGN_INLINE void RotateHead(const T* in, const T* __restrict cos,
                                const T* __restrict sin, int64_t half, T sign,
                                T* out) {
  for (int64_t i = 0; i < half; ++i) {
    const T a = in[i];
    const T b = in[i + half];
    const T s = sin[i] * sign;
    out[i] = a * cos[i] - b * s;
    out[i + half] = b * cos[i] + a * s;
  }
}

template <typename T>
VARALIGN_INLINE void Rotate(const Rotation<T>& a, int64_t begin, int64_t end) {
  const int64_t half = a.dim / 2;
  for (int64_t row = begin; row < end; ++row) {
    const T* cos = a.cos + a.positions[row] * half;
    const T* sin = a.sin + a.positions[row] * half;
    const T* in = a.in + row * a.heads * a.dim;
    T* out = a.out + row * a.heads * a.dim;
    for (int64_t head = 0; head < a.rotated; ++head) {
      RotateHead(in + head * a.dim, cos, sin, half, a.sign, out + head * a.dim);
    }
    if (in == out) continue;
    std::copy(in + a.rotated * a.dim, in + a.heads * a.dim,
              out + a.rotated * a.dim);
  }
}

template <typename T>
VARALIGN_INLINE void Softmax(const ScoreBlock<T>& block, T* lse) {
  for (int64_t row = 0; row < block.rows; ++row) {
    T* __restrict p = block.scores + row * block.stride;
    const int64_t n = block.first + row + 1;
    const T top = LaneMax(p, n);
    for (int64_t i = 0; i < n; ++i) p[i] = Exp(p[i] - top);
    const T sum = LaneSum<T>(n, [&](int64_t i) { return p[i]; });
    const T inverse = T(1) / sum;
    for (int64_t i = 0; i < n; ++i) p[i] *= inverse;
    for (int64_t i = n; i < block.columns; ++i) p[i] = 0;
    lse[row] = top + std::log(sum);
  }
}

template <typename T>
VARALIGN_INLINE void SoftmaxAgain(const ScoreBlock<T>& block, const T* lse) {
  for (int64_t row = 0; row < block.rows; ++row) {
    T* __restrict p = block.scores + row * block.stride;
    const int64_t n = block.first + row + 1;
    const T known = lse[row];
    for (int64_t i = 0; i < n; ++i) p[i] = Exp(p[i] - known);
    for (int64_t i = n; i < block.columns; ++i) p[i] = 0;
  }
}

template <typename T>
VARALIGN_INLINE void SoftmaxGrad(const ScoreBlock<T>& block, const T* delta,
                                 T scale, T* grads) {
  for (int64_t row = 0; row < block.rows; ++row) {
    const T* __restrict p = block.scores + row * block.stride;
    T* __restrict d = grads + row * block.stride;
    const T shift = delta[row];
    for (int64_t i = 0; i < block.columns; ++i) {
      d[i] = p[i] * (d[i] - shift) * scale;
    }
  }
}

template <typename T>
VARALIGN_INLINE double LogSum(const T* row, int64_t width) {
  const T top = LaneMax(row, width);
  constexpr int64_t kBlock = 512;
  T exponentials[kBlock];
  double sum = 0;
  for (int64_t first = 0; first < width; first += kBlock) {
    const int64_t n = std::min(kBlock, width - first);
    for (int64_t i = 0; i < n; ++i) exponentials[i] = Exp(row[first + i] - top);
    sum += LaneSum<double>(n, [&](int64_t i) { return exponentials[i]; });
  }
  return static_cast<double>(top) + std::log(sum);
}

template <typename T>
VARALIGN_INLINE double DotProduct(const T* a, const T* b, int64_t width) {
  return LaneSum<double>(width, [&](int64_t i) {
    return static_cast<double>(a[i]) * static_cast<double>(b[i]);
  });
}

}  // namespace

VARALIGN_VECTOR_CLONES
void AddNormRows(const NormForward<float>& a, int64_t begin, int64_t end) {
  AddNorm(a, begin, end);
}
void AddNormRows(const NormForward<double>& a, int64_t begin, int64_t end) {
  AddNorm(a, begin, end);
}

VARALIGN_VECTOR_CLONES
void AddNormGradRows(const NormBackward<float>& a, int64_t begin, int64_t end,
                     float* dweight) {
  AddNormGrad(a, begin, end, dweight);
}
void AddNormGradRows(const NormBackward<double>& a, int64_t begin, int64_t end,
                     double* dweight) {
  AddNormGrad(a, begin, end, dweight);
}

VARALIGN_VECTOR_CLONES
void SwiGluRows(const float* gate_up, int64_t width, int64_t begin, int64_t end,
                float* out) {
  SwiGlu(gate_up, width, begin, end, out);
}
void SwiGluRows(const double* gate_up, int64_t width, int64_t begin,
                int64_t end, double* out) {
  SwiGlu(gate_up, width, begin, end, out);
}

VARALIGN_VECTOR_CLONES
void SwiGluGradRows(const float* gate_up, const float* dout, int64_t width,
                    int64_t begin, int64_t end, float* dgate_up) {
  SwiGluGrad(gate_up, dout, width, begin, end, dgate_up);
}
void SwiGluGradRows(const double* gate_up, const double* dout, int64_t width,
                    int64_t begin, int64_t end, double* dgate_up) {
  SwiGluGrad(gate_up, dout, width, begin, end, dgate_up);
}

VARALIGN_VECTOR_CLONES
void RotateRows(const Rotation<float>& a, int64_t begin, int64_t end) {
  Rotate(a, begin, end);
}
void RotateRows(const Rotation<double>& a, int64_t begin, int64_t end) {
  Rotate(a, begin, end);
}

VARALIGN_VECTOR_CLONES
void CausalSoftmax(const ScoreBlock<float>& block, float* lse) {
  Softmax(block, lse);
}
void CausalSoftmax(const ScoreBlock<double>& block, double* lse) {
  Softmax(block, lse);
}

VARALIGN_VECTOR_CLONES
void CausalSoftmaxAgain(const ScoreBlock<float>& block, const float* lse) {
  SoftmaxAgain(block, lse);
}
void CausalSoftmaxAgain(const ScoreBlock<double>& block, const double* lse) {
  SoftmaxAgain(block, lse);
}

VARALIGN_VECTOR_CLONES
void CausalSoftmaxGrad(const ScoreBlock<float>& probabilities,
                       const float* delta, float scale, float* grads) {
  SoftmaxGrad(probabilities, delta, scale, grads);
}
void CausalSoftmaxGrad(const ScoreBlock<double>& probabilities,
                       const double* delta, double scale, double* grads) {
  SoftmaxGrad(probabilities, delta, scale, grads);
}

VARALIGN_VECTOR_CLONES
double LogSumExp(const float* row, int64_t width) { return LogSum(row, width); }
double LogSumExp(const double* row, int64_t width) {
  return LogSum(row, width);
}

VARALIGN_VECTOR_CLONES
double Dot(const float* a, const float* b, int64_t width) {
  return DotProduct(a, b, width);
}
double Dot(const double* a, const double* b, int64_t width) {
  return DotProduct(a, b, width);
}

}  // namespace varalign::model
