// The bytes of a file or of standard input, decompressed on the way.
#ifndef VARALIGN_DATA_BYTE_STREAM_H_
#define VARALIGN_DATA_BYTE_STREAM_H_

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <memory>
#include <span>

#include "absl/status/statusor.h"

namespace varalign::data {

// Not thread safe. An error is final: the stream has no more to give.
class ByteStream {
 public:
  virtual ~ByteStream() = default;

  // Fills the front of `buffer`; 0 at the end. DataLoss for a compressed stream
  // that is damaged or ends early; InvalidArgument for one that grows more than
  // two hundredfold; codes of base/file.h for reading.
  virtual absl::StatusOr<size_t> Read(std::span<char> buffer) = 0;

  // Bytes taken from the file so far, before decompression.
  virtual uint64_t num_taken() const = 0;
};

// Plain, gzip or zstd, told apart by the first bytes. "-" is standard input.
// InvalidArgument for Parquet and UTF-16, with the way to convert.
absl::StatusOr<std::unique_ptr<ByteStream>> OpenByteStream(
    const std::filesystem::path& path);

}  // namespace varalign::data

#endif  // VARALIGN_DATA_BYTE_STREAM_H_
