// How a flat tensor is cut into one chunk per rank. The same cut, and the same
// order of summation in each chunk, on every CPU group: that is what makes
// their bits agree. Internal to `collective`.
#ifndef VARALIGN_COLLECTIVE_CHUNKS_H_
#define VARALIGN_COLLECTIVE_CHUNKS_H_

#include <ATen/core/Tensor.h>

#include <cstdint>
#include <vector>

namespace varalign::collective {

// `value` modulo `size`, in [0, size).
inline int Modulo(int value, int size) {
  return ((value % size) + size) % size;
}

// `size` views of the elements of `tensor`, in order; their lengths differ by
// at most one, longer ones first. REQUIRES: contiguous.
inline std::vector<at::Tensor> Chunks(const at::Tensor& tensor, int size) {
  const at::Tensor flat = tensor.view({-1});
  const int64_t length = flat.numel() / size;
  const int64_t longer = flat.numel() % size;
  std::vector<at::Tensor> chunks;
  int64_t begin = 0;
  for (int i = 0; i < size; ++i) {
    const int64_t count = length + (i < longer ? 1 : 0);
    chunks.push_back(flat.narrow(0, begin, count));
    begin += count;
  }
  return chunks;
}

}  // namespace varalign::collective

#endif  // VARALIGN_COLLECTIVE_CHUNKS_H_
