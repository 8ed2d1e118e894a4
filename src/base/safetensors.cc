#include "base/safetensors.h"

#include <algorithm>
#include <array>
#include <utility>

#include "absl/strings/str_cat.h"
#include "base/safetensors_dtype.h"
#include "base/status_macros.h"
#include "base/string_view.h"

namespace varalign::base {
namespace {

struct DtypeRow {
  Dtype dtype;
  std::string_view name;
  int64_t num_bytes;
};

// In the order of the enum.
constexpr std::array kDtypes = {
    DtypeRow{Dtype::kBool, "BOOL", 1}, DtypeRow{Dtype::kU8, "U8", 1},
    DtypeRow{Dtype::kI8, "I8", 1},     DtypeRow{Dtype::kI16, "I16", 2},
    DtypeRow{Dtype::kU16, "U16", 2},   DtypeRow{Dtype::kI32, "I32", 4},
    DtypeRow{Dtype::kU32, "U32", 4},   DtypeRow{Dtype::kI64, "I64", 8},
    DtypeRow{Dtype::kU64, "U64", 8},   DtypeRow{Dtype::kF16, "F16", 2},
    DtypeRow{Dtype::kBF16, "BF16", 2}, DtypeRow{Dtype::kF32, "F32", 4},
    DtypeRow{Dtype::kF64, "F64", 8},
};

template <typename T>
constexpr Dtype kDtypeOf = Dtype::kF32;
template <>
constexpr Dtype kDtypeOf<uint8_t> = Dtype::kU8;
template <>
constexpr Dtype kDtypeOf<int8_t> = Dtype::kI8;
template <>
constexpr Dtype kDtypeOf<int16_t> = Dtype::kI16;
template <>
constexpr Dtype kDtypeOf<uint16_t> = Dtype::kU16;
template <>
constexpr Dtype kDtypeOf<int32_t> = Dtype::kI32;
template <>
constexpr Dtype kDtypeOf<uint32_t> = Dtype::kU32;
template <>
constexpr Dtype kDtypeOf<int64_t> = Dtype::kI64;
template <>
constexpr Dtype kDtypeOf<uint64_t> = Dtype::kU64;
template <>
constexpr Dtype kDtypeOf<double> = Dtype::kF64;

}  // namespace

std::string_view DtypeName(Dtype dtype) {
  return kDtypes[static_cast<size_t>(dtype)].name;
}

int64_t DtypeSize(Dtype dtype) {
  return kDtypes[static_cast<size_t>(dtype)].num_bytes;
}

std::optional<Dtype> DtypeFromName(std::string_view name) {
  for (const DtypeRow& row : kDtypes) {
    if (row.name == name) return row.dtype;
  }
  return std::nullopt;
}

std::optional<uint64_t> BytesOf(Dtype dtype, std::span<const int64_t> shape) {
  auto num_bytes = static_cast<uint64_t>(DtypeSize(dtype));
  // An extent of 0 makes the product 0, however large the others are.
  if (std::ranges::count(shape, 0) > 0) return 0;
  for (const int64_t extent : shape) {
    if (extent < 0 ||
        __builtin_mul_overflow(num_bytes, static_cast<uint64_t>(extent),
                               &num_bytes)) {
      return std::nullopt;
    }
  }
  return num_bytes;
}

SafetensorsFile::SafetensorsFile(MappedFile file,
                                 std::vector<TensorSpan> tensors,
                                 SafetensorsMetadata metadata)
    : file_(std::move(file)),
      tensors_(std::move(tensors)),
      metadata_(std::move(metadata)) {
  index_.reserve(tensors_.size());
  for (size_t i = 0; i < tensors_.size(); ++i) {
    index_.emplace(tensors_[i].name, i);
  }
}

absl::StatusOr<SafetensorsFile> SafetensorsFile::Open(
    const std::filesystem::path& path) {
  ASSIGN_OR_RETURN(MappedFile file, MappedFile::Open(path));
  absl::StatusOr<SafetensorsContents> contents = ParseSafetensors(file.bytes());
  if (!contents.ok()) {
    return absl::Status(
        contents.status().code(),
        absl::StrCat(contents.status().message(), ": ", path.string()));
  }
  return SafetensorsFile(std::move(file), std::move(contents->tensors),
                         std::move(contents->metadata));
}

absl::StatusOr<TensorSpan> SafetensorsFile::Find(std::string_view name) const {
  const auto found = index_.find(std::string(name));
  if (found == index_.end()) {
    return absl::NotFoundError(absl::StrCat("no such tensor: ", ToAbsl(name)));
  }
  return tensors_[found->second];
}

template <typename T>
absl::StatusOr<std::span<const T>> SafetensorsFile::Values(
    std::string_view name) const {
  ASSIGN_OR_RETURN(const TensorSpan tensor, Find(name));
  if (tensor.dtype != kDtypeOf<T>) {
    return absl::InvalidArgumentError(absl::StrCat(
        "tensor has dtype ", ToAbsl(DtypeName(tensor.dtype)), " where ",
        ToAbsl(DtypeName(kDtypeOf<T>)), " is needed: ", ToAbsl(name)));
  }
  // Writers other than ours may leave odd addresses.
  if (reinterpret_cast<uintptr_t>(tensor.bytes.data()) % alignof(T) != 0) {
    return absl::InvalidArgumentError(
        absl::StrCat("tensor is not aligned to its dtype: ", ToAbsl(name)));
  }
  return std::span<const T>(reinterpret_cast<const T*>(tensor.bytes.data()),
                            tensor.bytes.size() / sizeof(T));
}

#define VARALIGN_VALUES(T)                                                \
  template absl::StatusOr<std::span<const T>> SafetensorsFile::Values<T>( \
      std::string_view) const
VARALIGN_VALUES(uint8_t);
VARALIGN_VALUES(int8_t);
VARALIGN_VALUES(int16_t);
VARALIGN_VALUES(uint16_t);
VARALIGN_VALUES(int32_t);
VARALIGN_VALUES(uint32_t);
VARALIGN_VALUES(int64_t);
VARALIGN_VALUES(uint64_t);
VARALIGN_VALUES(float);
VARALIGN_VALUES(double);
#undef VARALIGN_VALUES

}  // namespace varalign::base
