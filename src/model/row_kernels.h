// Element-wise and row-wise arithmetic on raw memory, single-threaded.
//
// Every function treats each row by itself with the same sequence of
// operations whatever row it is and however many rows there are. ATen's
// element-wise loops do not promise that (the tail of a buffer takes another
// path than its middle), and batch-invariant scores need it. The callers split
// rows over threads; REQUIRES: rows are contiguous unless a stride says else.
#ifndef VARALIGN_MODEL_ROW_KERNELS_H_
#define VARALIGN_MODEL_ROW_KERNELS_H_

#include <cstdint>

namespace varalign::model {

// x = residual + delta (delta may be null); r = 1 / sqrt(mean(x^2) + eps);
// y = x * r * weight. All [rows, width], r [rows], weight [width].
template <typename T>
struct NormForward {
  const T* residual;
  const T* delta;
  const T* weight;
  T* x;
  T* y;
  T* r;
  int64_t width;
  T eps;
};
void AddNormRows(const NormForward<float>& a, int64_t begin, int64_t end);
void AddNormRows(const NormForward<double>& a, int64_t begin, int64_t end);

// d = dx (may be null) + the gradient of x through y; dweight [width] gets the
// rows' part added.
template <typename T>
struct NormBackward {
  const T* dx;
  const T* dy;
  const T* x;
  const T* r;
  const T* weight;
  T* d;
  int64_t width;
};
void AddNormGradRows(const NormBackward<float>& a, int64_t begin, int64_t end,
                     float* dweight);
void AddNormGradRows(const NormBackward<double>& a, int64_t begin, int64_t end,
                     double* dweight);

// out [rows, width] = silu(gate) * up; gate_up [rows, 2 width].
void SwiGluRows(const float* gate_up, int64_t width, int64_t begin, int64_t end,
                float* out);
void SwiGluRows(const double* gate_up, int64_t width, int64_t begin,
                int64_t end, double* out);

void SwiGluGradRows(const float* gate_up, const float* dout, int64_t width,
                    int64_t begin, int64_t end, float* dgate_up);
void SwiGluGradRows(const double* gate_up, const double* dout, int64_t width,
                    int64_t begin, int64_t end, double* dgate_up);

// Rotates the first `rotated` of `heads` heads of each row and copies the
// others; `in` may be `out`. cos, sin [*, dim / 2]; row i has position
// positions[i]. sign 1 turns forward, -1 back.
template <typename T>
struct Rotation {
  const T* in;
  T* out;
  const T* cos;
  const T* sin;
  const int32_t* positions;
  int64_t heads;
  int64_t rotated;
  int64_t dim;
  T sign;
};
void RotateRows(const Rotation<float>& a, int64_t begin, int64_t end);
void RotateRows(const Rotation<double>& a, int64_t begin, int64_t end);

// A block of attention scores: row i of `rows` may see columns
// [0, first + i + 1) of `columns`.
template <typename T>
struct ScoreBlock {
  T* scores;  // [rows, stride]
  int64_t stride;
  int64_t rows;
  int64_t columns;
  int64_t first;
};
// Scores to probabilities, hidden columns to 0; lse [rows] is the logarithm of
// each row's sum of exponentials.
void CausalSoftmax(const ScoreBlock<float>& block, float* lse);
void CausalSoftmax(const ScoreBlock<double>& block, double* lse);
// The same from a known lse.
void CausalSoftmaxAgain(const ScoreBlock<float>& block, const float* lse);
void CausalSoftmaxAgain(const ScoreBlock<double>& block, const double* lse);
// grads = probabilities * (grads - delta) * scale; delta [rows].
void CausalSoftmaxGrad(const ScoreBlock<float>& probabilities,
                       const float* delta, float scale, float* grads);
void CausalSoftmaxGrad(const ScoreBlock<double>& probabilities,
                       const double* delta, double scale, double* grads);

// log(sum(exp(row))) of `width` values, accumulated in float64.
double LogSumExp(const float* row, int64_t width);
double LogSumExp(const double* row, int64_t width);

// Sum of products in float64.
double Dot(const float* a, const float* b, int64_t width);
double Dot(const double* a, const double* b, int64_t width);

}  // namespace varalign::model

#endif  // VARALIGN_MODEL_ROW_KERNELS_H_
