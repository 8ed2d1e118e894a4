// Between at::Tensor and the byte spans of safetensors.
#ifndef VARALIGN_CHECKPOINT_TENSOR_BYTES_H_
#define VARALIGN_CHECKPOINT_TENSOR_BYTES_H_

#include <ATen/core/Tensor.h>

#include <span>
#include <string>
#include <utility>
#include <vector>

#include "absl/status/statusor.h"
#include "base/safetensors.h"

namespace varalign::checkpoint {

using NamedTensor = std::pair<std::string, at::Tensor>;

// A view of the span's memory, or a copy where the file does not align it. The
// memory is read only: never write into the view.
at::Tensor ViewSpan(const base::TensorSpan& span);

// Tensors as spans. Keeps what it had to make contiguous.
class TensorSpans {
 public:
  // DataLoss names a tensor that holds a value that is not finite:
  // InvalidArgument one of a dtype that safetensors lacks.
  static absl::StatusOr<TensorSpans> Of(std::span<const NamedTensor> tensors);

  const std::vector<base::TensorSpan>& spans() const { return spans_; }

 private:
  std::vector<at::Tensor> kept_;
  std::vector<base::TensorSpan> spans_;
};

}  // namespace varalign::checkpoint

#endif  // VARALIGN_CHECKPOINT_TENSOR_BYTES_H_
