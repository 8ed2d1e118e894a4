// Attention of one query over kept keys, on raw memory, single-threaded.
#ifndef VARALIGN_MODEL_CACHED_ATTENTION_H_
#define VARALIGN_MODEL_CACHED_ATTENTION_H_

#include <cstdint>

namespace varalign::model {

template <typename T>
struct OneQuery {
  const T* query;   // [dim]
  const T* keys;    // [length, dim]
  const T* values;  // [length, dim]
  int64_t length;
  int64_t dim;
  T* out;  // [dim]
};

// out = softmax(query keys^T / sqrt(dim)) values.
void AttendOne(const OneQuery<float>& task);
void AttendOne(const OneQuery<double>& task);

}  // namespace varalign::model

#endif  // VARALIGN_MODEL_CACHED_ATTENTION_H_
