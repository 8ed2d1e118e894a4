#include "model/zeroed_tensor.h"

#include <ATen/ops/from_blob.h>
#include <ATen/ops/zeros.h>
#include <sys/mman.h>

namespace varalign::model {

at::Tensor ZeroedTensor(int64_t count, at::ScalarType dtype) {
  const at::TensorOptions options = at::TensorOptions().dtype(dtype);
  const size_t bytes = static_cast<size_t>(count) * c10::elementSize(dtype);
  void* data = bytes == 0 ? MAP_FAILED
                          : mmap(nullptr, bytes, PROT_READ | PROT_WRITE,
                                 MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  // Says how much is missing.
  if (data == MAP_FAILED) return at::zeros({count}, options);
  // Advice: without huge pages it is slower, no more.
  madvise(data, bytes, MADV_HUGEPAGE);
  return at::from_blob(
      data, {count}, [bytes](void* block) { munmap(block, bytes); }, options);
}

}  // namespace varalign::model
