#include "model/attention_kernel.h"

#include <algorithm>
#include <array>
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
int64_t NumColumns(const AttentionTask<T>& task) {
  return task.seen.length + task.keys.length;
}

template <typename T>
std::unique_ptr<T[]> BlockMemory(const AttentionTask<T>& task) {
  return std::make_unique_for_overwrite<T[]>(static_cast<size_t>(
      std::min(kBlockRows, task.keys.length) * NumColumns(task)));
}

// Some keys of a block of query rows, and the column of the first one's scores.
template <typename T>
struct Part {
  Keys<T> keys;
  int64_t column = 0;
};

// Query rows [first, first + scores.rows) of the segment.
template <typename T>
struct QueryBlock {
  ScoreBlock<T> scores;
  int64_t first;
  // Those of what the segment continues, perhaps none, then its own.
  std::array<Part<T>, 2> parts;
};

template <typename T>
QueryBlock<T> Block(const AttentionTask<T>& task, T* scores, int64_t first) {
  const int64_t rows = std::min(kBlockRows, task.keys.length - first);
  const int64_t seen = task.seen.length;
  QueryBlock<T> block{.scores = {.scores = scores,
                                 .stride = NumColumns(task),
                                 .rows = rows,
                                 .columns = seen + first + rows,
                                 .first = seen + first},
                      .first = first,
                      .parts = {{{task.seen, 0}, {task.keys, seen}}}};
  block.parts[1].keys.length = first + rows;
  return block;
}

// Calls body(part, beta) for the parts that have keys; beta is 0 for the first,
// then 1: what is summed over all keys starts anew with each block.
template <typename T, typename Body>
void ForEachPart(const QueryBlock<T>& block, const Body& body) {
  T beta = 0;
  for (const Part<T>& part : block.parts) {
    if (part.keys.length == 0) continue;
    body(part, beta);
    beta = 1;
  }
}

// Rows of the block in a buffer whose row 0 is the segment's first.
template <typename T, typename Pointer>
Pointer RowsOf(const QueryBlock<T>& block, Pointer buffer, int64_t stride) {
  return buffer + block.first * stride;
}

// The block's scores, to be turned into probabilities.
template <typename T>
void FormScores(const AttentionTask<T>& task, const QueryBlock<T>& block) {
  const Matrix<T> q{RowsOf(block, task.q, task.stride), task.stride};
  for (const Part<T>& part : block.parts) {
    if (part.keys.length == 0) continue;
    Multiply<T>({block.scores.rows, part.keys.length, task.dim},
                Scale<T>(task.dim), q, {part.keys.k, task.stride, true}, 0,
                {block.scores.scores + part.column, block.scores.stride});
  }
}

template <typename T>
void Forward(const AttentionTask<T>& task) {
  const std::unique_ptr<T[]> memory = BlockMemory(task);
  for (int64_t first = 0; first < task.keys.length; first += kBlockRows) {
    const QueryBlock<T> block = Block(task, memory.get(), first);
    const ScoreBlock<T>& p = block.scores;
    FormScores(task, block);
    CausalSoftmax(p, task.lse + first);
    ForEachPart(block, [&](const Part<T>& part, T beta) {
      Multiply<T>({p.rows, task.dim, part.keys.length}, 1,
                  {p.scores + part.column, p.stride},
                  {part.keys.v, task.stride}, beta,
                  {RowsOf(block, task.out, task.out_stride), task.out_stride});
    });
  }
}

// delta [rows] = sum over dim of dout * out.
template <typename T>
void OutputDots(const AttentionGradTask<T>& task, const QueryBlock<T>& block,
                T* delta) {
  const int64_t stride = task.forward.out_stride;
  const T* out = RowsOf(block, task.forward.out, stride);
  const T* dout = RowsOf(block, task.dout, stride);
  for (int64_t row = 0; row < block.scores.rows; ++row) {
    delta[row] = static_cast<T>(
        Dot(dout + row * stride, out + row * stride, task.forward.dim));
  }
}

// One block of query rows: P again, then dV += P^T dO, dP = dO V^T,
// dS = P (dP - delta), dQ = dS K, dK += dS^T Q.
template <typename T>
class BlockBackward {
 public:
  // `grads` has the scores' shape. `own_beta` 0: sets the segment's own dk, dv.
  BlockBackward(const AttentionGradTask<T>& task, const QueryBlock<T>& block,
                T* grads, T own_beta)
      : task_(task), block_(block), grads_(grads), own_beta_(own_beta) {}

  void Run() {
    const AttentionTask<T>& f = task_.forward;
    T delta[kBlockRows];
    OutputDots(task_, block_, delta);
    FormScores(f, block_);
    CausalSoftmaxAgain(block_.scores, f.lse + block_.first);
    ForEachPart(block_, [&](const Part<T>& part, T) { ValueGrads(part); });
    CausalSoftmaxGrad(block_.scores, delta, Scale<T>(f.dim), grads_);
    ForEachPart(block_, [&](const Part<T>& part, T beta) {
      QueryAndKeyGrads(part, beta);
    });
  }

 private:
  int64_t rows() const { return block_.scores.rows; }
  bool IsOwn(const Part<T>& part) const { return &part == &block_.parts[1]; }
  const KeyGrads<T>& GradsOf(const Part<T>& part) const {
    return IsOwn(part) ? task_.keys : task_.seen;
  }
  T BetaOf(const Part<T>& part) const { return IsOwn(part) ? own_beta_ : 1; }

  // dV of the part, and dP in its columns.
  void ValueGrads(const Part<T>& part) {
    const AttentionTask<T>& f = task_.forward;
    const ScoreBlock<T>& p = block_.scores;
    const Matrix<T> dout{RowsOf(block_, task_.dout, f.out_stride),
                         f.out_stride};
    Multiply<T>({part.keys.length, f.dim, rows()}, 1,
                {p.scores + part.column, p.stride, true}, dout, BetaOf(part),
                {GradsOf(part).dv, f.stride});
    Multiply<T>({rows(), part.keys.length, f.dim}, 1, dout,
                {part.keys.v, f.stride, true}, 0,
                {grads_ + part.column, p.stride});
  }

  void QueryAndKeyGrads(const Part<T>& part, T beta) {
    const AttentionTask<T>& f = task_.forward;
    const int64_t stride = block_.scores.stride;
    const T* ds = grads_ + part.column;
    Multiply<T>({rows(), f.dim, part.keys.length}, 1, {ds, stride},
                {part.keys.k, f.stride}, beta,
                {RowsOf(block_, task_.dq, f.stride), f.stride});
    Multiply<T>({part.keys.length, f.dim, rows()}, 1, {ds, stride, true},
                {RowsOf(block_, f.q, f.stride), f.stride}, BetaOf(part),
                {GradsOf(part).dk, f.stride});
  }

  const AttentionGradTask<T>& task_;
  const QueryBlock<T>& block_;
  T* const grads_;
  const T own_beta_;
};

// From the last block, which sees all keys, to the first.
template <typename T>
void Backward(const AttentionGradTask<T>& task) {
  const std::unique_ptr<T[]> scores = BlockMemory(task.forward);
  const std::unique_ptr<T[]> grads = BlockMemory(task.forward);
  T own_beta = task.adds_to_keys ? T(1) : T(0);
  int64_t first = (task.forward.keys.length - 1) / kBlockRows * kBlockRows;
  for (; first >= 0; first -= kBlockRows) {
    const QueryBlock<T> block = Block(task.forward, scores.get(), first);
    BlockBackward<T>(task, block, grads.get(), own_beta).Run();
    own_beta = 1;
  }
}

}  // namespace

void AttendForward(const AttentionTask<float>& task) { Forward(task); }
void AttendForward(const AttentionTask<double>& task) { Forward(task); }
void AttendBackward(const AttentionGradTask<float>& task) { Backward(task); }
void AttendBackward(const AttentionGradTask<double>& task) { Backward(task); }

}  // namespace varalign::model
