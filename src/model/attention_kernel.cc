#include "model/attention_kernel.h"

#include <algorithm>
#include <cmath>
#include <memory>

#include "model/row_kernels.h"

// BLAS, column-major, from libtorch.
extern "C" {
void sgemm_(const char* trans_a, const char* trans_b, const int* m,
            const int* n, const int* k, const float* alpha, const float* a,
            const int* lda, const float* b, const int* ldb, const float* beta,
            float* c, const int* ldc);
void dgemm_(const char* trans_a, const char* trans_b, const int* m,
            const int* n, const int* k, const double* alpha, const double* a,
            const int* lda, const double* b, const int* ldb, const double* beta,
            double* c, const int* ldc);
}

namespace varalign::model {
namespace {

constexpr int64_t kBlockRows = 64;

template <typename T>
struct Matrix {
  const T* data;
  int64_t stride;
  bool transposed = false;
};

template <typename T>
struct Output {
  T* data;
  int64_t stride;
};

struct Extents {
  int64_t rows, columns, inner;
};

void Blas(const char* ta, const char* tb, const int* m, const int* n,
          const int* k, const float* alpha, const float* a, const int* lda,
          const float* b, const int* ldb, const float* beta, float* c,
          const int* ldc) {
  sgemm_(ta, tb, m, n, k, alpha, a, lda, b, ldb, beta, c, ldc);
}
void Blas(const char* ta, const char* tb, const int* m, const int* n,
          const int* k, const double* alpha, const double* a, const int* lda,
          const double* b, const int* ldb, const double* beta, double* c,
          const int* ldc) {
  dgemm_(ta, tb, m, n, k, alpha, a, lda, b, ldb, beta, c, ldc);
}

// c = alpha a b + beta c, all row-major: the transposed product to BLAS.
template <typename T>
void Multiply(const Extents& extents, T alpha, const Matrix<T>& a,
              const Matrix<T>& b, T beta, const Output<T>& c) {
  const int m = static_cast<int>(extents.columns);
  const int n = static_cast<int>(extents.rows);
  const int k = static_cast<int>(extents.inner);
  const int lda = static_cast<int>(b.stride);
  const int ldb = static_cast<int>(a.stride);
  const int ldc = static_cast<int>(c.stride);
  Blas(b.transposed ? "T" : "N", a.transposed ? "T" : "N", &m, &n, &k, &alpha,
       b.data, &lda, a.data, &ldb, &beta, c.data, &ldc);
}

template <typename T>
T Scale(int64_t dim) {
  return static_cast<T>(1 / std::sqrt(static_cast<double>(dim)));
}

template <typename T>
std::unique_ptr<T[]> BlockMemory(int64_t length) {
  return std::make_unique_for_overwrite<T[]>(
      static_cast<size_t>(std::min(kBlockRows, length) * length));
}

// The block's scores into block.scores.
template <typename T>
void FormScores(const AttentionTask<T>& task, const ScoreBlock<T>& block) {
  Multiply<T>({block.rows, block.columns, task.dim}, Scale<T>(task.dim),
              {task.q + block.first * task.stride, task.stride},
              {task.k, task.stride, true}, 0, {block.scores, block.stride});
}

template <typename T>
ScoreBlock<T> Block(T* scores, int64_t length, int64_t first) {
  const int64_t rows = std::min(kBlockRows, length - first);
  return {.scores = scores,
          .stride = length,
          .rows = rows,
          .columns = first + rows,
          .first = first};
}

template <typename T>
void Forward(const AttentionTask<T>& task) {
  const std::unique_ptr<T[]> memory = BlockMemory<T>(task.length);
  for (int64_t first = 0; first < task.length; first += kBlockRows) {
    const ScoreBlock<T> block = Block(memory.get(), task.length, first);
    FormScores(task, block);
    CausalSoftmax(block, task.lse + first);
    Multiply<T>({block.rows, task.dim, block.columns}, 1,
                {block.scores, block.stride}, {task.v, task.stride}, 0,
                {task.out + first * task.out_stride, task.out_stride});
  }
}

// delta [rows] = sum over dim of dout * out.
template <typename T>
void OutputDots(const AttentionGradTask<T>& task, int64_t first, int64_t rows,
                T* delta) {
  const int64_t stride = task.forward.out_stride;
  for (int64_t row = 0; row < rows; ++row) {
    delta[row] = static_cast<T>(Dot(task.dout + (first + row) * stride,
                                    task.forward.out + (first + row) * stride,
                                    task.forward.dim));
  }
}

// One block of query rows: P again, then dV += P^T dO, dP = dO V^T,
// dS = P (dP - delta), dQ = dS K, dK += dS^T Q.
template <typename T>
void BlockBackward(const AttentionGradTask<T>& task, const ScoreBlock<T>& block,
                   T* grads, T beta) {
  const AttentionTask<T>& f = task.forward;
  const Matrix<T> dout{task.dout + block.first * f.out_stride, f.out_stride};
  T delta[kBlockRows];
  OutputDots(task, block.first, block.rows, delta);
  FormScores(f, block);
  CausalSoftmaxAgain(block, f.lse + block.first);
  Multiply<T>({block.columns, f.dim, block.rows}, 1,
              {block.scores, block.stride, true}, dout, beta,
              {task.dv, f.stride});
  Multiply<T>({block.rows, block.columns, f.dim}, 1, dout,
              {f.v, f.stride, true}, 0, {grads, block.stride});
  CausalSoftmaxGrad(block, delta, Scale<T>(f.dim), grads);
  const Matrix<T> q{f.q + block.first * f.stride, f.stride};
  Multiply<T>({block.rows, f.dim, block.columns}, 1, {grads, block.stride},
              {f.k, f.stride}, 0, {task.dq + block.first * f.stride, f.stride});
  Multiply<T>({block.columns, f.dim, block.rows}, 1,
              {grads, block.stride, true}, q, beta, {task.dk, f.stride});
}

// From the last block, which sees all keys, to the first.
template <typename T>
void Backward(const AttentionGradTask<T>& task) {
  const int64_t length = task.forward.length;
  const std::unique_ptr<T[]> scores = BlockMemory<T>(length);
  const std::unique_ptr<T[]> grads = BlockMemory<T>(length);
  T beta = task.adds_to_keys ? T(1) : T(0);
  int64_t first = (length - 1) / kBlockRows * kBlockRows;
  for (; first >= 0; first -= kBlockRows) {
    BlockBackward(task, Block(scores.get(), length, first), grads.get(), beta);
    beta = 1;
  }
}

}  // namespace

void AttendForward(const AttentionTask<float>& task) { Forward(task); }
void AttendForward(const AttentionTask<double>& task) { Forward(task); }
void AttendBackward(const AttentionGradTask<float>& task) { Backward(task); }
void AttendBackward(const AttentionGradTask<double>& task) { Backward(task); }

}  // namespace varalign::model
