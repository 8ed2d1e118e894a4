// The safetensors container: names, dtypes, shapes and byte spans. No torch.
//
// Grammar: u64 little-endian header length N; N bytes of JSON
//   {"__metadata__": {str: str}, NAME: {"dtype", "shape", "data_offsets"}};
// then the data, tensors without gaps or overlap in the order of their offsets.
//
// The reader is strict and made to be fuzzed. InvalidArgument for anything the
// grammar forbids: header above 100 MB or not starting with '{', more than 10^6
// tensors, names above 4 KiB, rank above 16, unknown dtype, offsets that do not
// match dtype * shape, gaps, overlap, size unlike the file's, duplicate names.
#ifndef VARALIGN_BASE_SAFETENSORS_H_
#define VARALIGN_BASE_SAFETENSORS_H_

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <map>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "absl/container/flat_hash_map.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "base/file.h"

namespace varalign::base {

enum class Dtype {
  kBool,
  kU8,
  kI8,
  kI16,
  kU16,
  kI32,
  kU32,
  kI64,
  kU64,
  kF16,
  kBF16,
  kF32,
  kF64
};

// "F32" and so on; sizes in bytes.
std::string_view DtypeName(Dtype dtype);
int64_t DtypeSize(Dtype dtype);

// A tensor as bytes in memory that somebody else owns. Row-major, contiguous.
struct TensorSpan {
  std::string name;
  Dtype dtype = Dtype::kF32;
  std::vector<int64_t> shape;
  std::span<const std::byte> bytes;
};

using SafetensorsMetadata = std::map<std::string, std::string>;

// A mapped file; the spans live as long as the object. Movable.
class SafetensorsFile {
 public:
  static absl::StatusOr<SafetensorsFile> Open(
      const std::filesystem::path& path);

  // In the order of their offsets.
  const std::vector<TensorSpan>& tensors() const { return tensors_; }
  const SafetensorsMetadata& metadata() const { return metadata_; }

  // NotFound if there is none of that name.
  absl::StatusOr<TensorSpan> Find(std::string_view name) const;

  // The values of a tensor of the C++ type `T`: the integers of 8 to 64 bits,
  // float and double. InvalidArgument if the dtype differs or the address is
  // not aligned to it, NotFound if there is none of that name.
  template <typename T>
  absl::StatusOr<std::span<const T>> Values(std::string_view name) const;

 private:
  SafetensorsFile(MappedFile file, std::vector<TensorSpan> tensors,
                  SafetensorsMetadata metadata);

  MappedFile file_;
  std::vector<TensorSpan> tensors_;
  SafetensorsMetadata metadata_;
  absl::flat_hash_map<std::string, size_t> index_;  // name -> tensors_
};

struct SafetensorsContents {
  std::vector<TensorSpan> tensors;
  SafetensorsMetadata metadata;
};

// Reads a header over the bytes of a whole file; the spans point into `file`.
absl::StatusOr<SafetensorsContents> ParseSafetensors(
    std::span<const std::byte> file);

// Writes a new file and syncs it; returns its size and XXH3-128. The data
// starts at a multiple of 8 bytes, and dtypes of more bytes come first, so that
// each tensor is aligned; otherwise in the order of `tensors`. Removes the file
// on an error.
//
//   InvalidArgument   what the reader would refuse
//   AlreadyExists     the file is there
struct WrittenFile {
  uint64_t num_bytes = 0;
  std::string xxh3_128;
};
absl::StatusOr<WrittenFile> WriteSafetensors(
    const std::filesystem::path& path, std::span<const TensorSpan> tensors,
    const SafetensorsMetadata& metadata);

}  // namespace varalign::base

#endif  // VARALIGN_BASE_SAFETENSORS_H_
