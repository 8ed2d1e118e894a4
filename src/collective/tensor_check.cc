#include "collective/tensor_check.h"

#include <cstdint>

#include "absl/strings/str_cat.h"
#include "base/status_macros.h"

namespace varalign::collective {
namespace {

absl::Status CheckPair(const at::Tensor& a, const at::Tensor& b) {
  RETURN_IF_ERROR(CheckContiguous(a));
  RETURN_IF_ERROR(CheckContiguous(b));
  if (a.scalar_type() == b.scalar_type() && a.device() == b.device()) {
    return absl::OkStatus();
  }
  return absl::InvalidArgumentError(absl::StrCat(
      "input and output of a collective differ in dtype or device: ",
      c10::toString(a.scalar_type()), " on ", a.device().str(), " and ",
      c10::toString(b.scalar_type()), " on ", b.device().str()));
}

}  // namespace

absl::Status CheckContiguous(const at::Tensor& tensor) {
  if (!tensor.defined()) {
    return absl::InvalidArgumentError("a collective got an undefined tensor");
  }
  if (!tensor.is_contiguous()) {
    return absl::InvalidArgumentError(absl::StrCat(
        "a collective needs a contiguous tensor; elements: ", tensor.numel()));
  }
  return absl::OkStatus();
}

absl::Status CheckParts(const at::Tensor& whole, const at::Tensor& part,
                        int size) {
  RETURN_IF_ERROR(CheckPair(whole, part));
  if (whole.numel() == part.numel() * int64_t{size}) return absl::OkStatus();
  return absl::InvalidArgumentError(absl::StrCat(
      "the whole must have as many elements as the parts of all ranks: ",
      whole.numel(), " elements, ", size, " parts of ", part.numel()));
}

absl::Status CheckSameSize(const at::Tensor& input, const at::Tensor& output) {
  RETURN_IF_ERROR(CheckPair(input, output));
  if (input.numel() == output.numel()) return absl::OkStatus();
  return absl::InvalidArgumentError(absl::StrCat(
      "input and output must have as many elements: ", input.numel(), " and ",
      output.numel()));
}

absl::Status CheckRoot(int root, int size) {
  if (root >= 0 && root < size) return absl::OkStatus();
  return absl::InvalidArgumentError(absl::StrCat(
      "the root must be a rank of the group: ", root, " of ", size));
}

}  // namespace varalign::collective
