#include "model/cached_attention.h"

#include <algorithm>
#include <cmath>
#include <vector>

#include "model/vector_math.h"

namespace varalign::model {
namespace {

template <typename T>
VARALIGN_INLINE void Attend(const OneQuery<T>& task, T* scores) {
  const T scale = static_cast<T>(1 / std::sqrt(static_cast<double>(task.dim)));
  for (int64_t t = 0; t < task.length; ++t) {
    const T* key = task.keys + t * task.dim;
    scores[t] = scale * LaneSum<T>(task.dim, [&](int64_t d) {
                  return task.query[d] * key[d];
                });
  }
  const T largest = LaneMax(scores, task.length);
  for (int64_t t = 0; t < task.length; ++t) {
    scores[t] = Exp(scores[t] - largest);
  }
  const T sum = LaneSum<T>(task.length, [&](int64_t t) { return scores[t]; });
  std::fill(task.out, task.out + task.dim, T(0));
  for (int64_t t = 0; t < task.length; ++t) {
    const T weight = scores[t] / sum;
    const T* value = task.values + t * task.dim;
    for (int64_t d = 0; d < task.dim; ++d) task.out[d] += weight * value[d];
  }
}

VARALIGN_VECTOR_CLONES void AttendFloat(const OneQuery<float>& task,
                                        float* scores) {
  Attend(task, scores);
}
VARALIGN_VECTOR_CLONES void AttendDouble(const OneQuery<double>& task,
                                         double* scores) {
  Attend(task, scores);
}

}  // namespace

void AttendOne(const OneQuery<float>& task) {
  std::vector<float> scores(static_cast<size_t>(task.length));
  AttendFloat(task, scores.data());
}
void AttendOne(const OneQuery<double>& task) {
  std::vector<double> scores(static_cast<size_t>(task.length));
  AttendDouble(task, scores.data());
}

}  // namespace varalign::model
