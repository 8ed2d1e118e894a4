#include "checkpoint/tensor_bytes.h"

#include <ATen/ATen.h>

#include <algorithm>
#include <array>
#include <cstddef>
#include <cstdint>
#include <optional>

#include "absl/status/status.h"
#include "absl/strings/str_cat.h"
#include "base/status_macros.h"

namespace varalign::checkpoint {
namespace {

using base::Dtype;

constexpr std::array<std::pair<Dtype, at::ScalarType>, 13> kDtypes = {{
    {Dtype::kBool, at::kBool},
    {Dtype::kU8, at::kByte},
    {Dtype::kI8, at::kChar},
    {Dtype::kI16, at::kShort},
    {Dtype::kU16, at::kUInt16},
    {Dtype::kI32, at::kInt},
    {Dtype::kU32, at::kUInt32},
    {Dtype::kI64, at::kLong},
    {Dtype::kU64, at::kUInt64},
    {Dtype::kF16, at::kHalf},
    {Dtype::kBF16, at::kBFloat16},
    {Dtype::kF32, at::kFloat},
    {Dtype::kF64, at::kDouble},
}};

at::ScalarType ToScalarType(Dtype dtype) {
  for (const auto& [ours, theirs] : kDtypes) {
    if (ours == dtype) return theirs;
  }
  return at::ScalarType::Undefined;
}

std::optional<Dtype> ToDtype(at::ScalarType type) {
  for (const auto& [ours, theirs] : kDtypes) {
    if (theirs == type) return ours;
  }
  return std::nullopt;
}

absl::StatusOr<base::TensorSpan> ToSpan(const std::string& name,
                                        const at::Tensor& tensor) {
  const std::optional<Dtype> dtype = ToDtype(tensor.scalar_type());
  if (!dtype) {
    return absl::InvalidArgumentError(
        absl::StrCat("tensor has a dtype that safetensors lacks: ", name));
  }
  if (tensor.is_floating_point() && !at::isfinite(tensor).all().item<bool>()) {
    return absl::DataLossError(absl::StrCat(
        "tensor has values that are not finite and is not saved: ", name));
  }
  return base::TensorSpan{
      .name = name,
      .dtype = *dtype,
      .shape = tensor.sizes().vec(),
      .bytes = {static_cast<const std::byte*>(tensor.const_data_ptr()),
                tensor.nbytes()}};
}

}  // namespace

at::Tensor ViewSpan(const base::TensorSpan& span) {
  const at::TensorOptions options =
      at::TensorOptions().dtype(ToScalarType(span.dtype));
  const auto address = reinterpret_cast<uintptr_t>(span.bytes.data());
  const auto size = static_cast<uintptr_t>(base::DtypeSize(span.dtype));
  if (address % size == 0) {
    return at::from_blob(const_cast<std::byte*>(span.bytes.data()), span.shape,
                         options);
  }
  at::Tensor copy = at::empty(span.shape, options);
  std::ranges::copy(span.bytes, static_cast<std::byte*>(copy.data_ptr()));
  return copy;
}

absl::StatusOr<TensorSpans> TensorSpans::Of(
    std::span<const NamedTensor> tensors) {
  TensorSpans result;
  for (const auto& [name, tensor] : tensors) {
    result.kept_.push_back(tensor.detach().cpu().contiguous());
    ASSIGN_OR_RETURN(base::TensorSpan span, ToSpan(name, result.kept_.back()));
    result.spans_.push_back(std::move(span));
  }
  return result;
}

}  // namespace varalign::checkpoint
