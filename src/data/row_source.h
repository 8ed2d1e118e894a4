// The lines of a user's file, one JSON value each.
#ifndef VARALIGN_DATA_ROW_SOURCE_H_
#define VARALIGN_DATA_ROW_SOURCE_H_

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "data/byte_stream.h"

namespace varalign::data {

struct SourceLine {
  uint64_t number = 0;       // from 1
  uint64_t byte_offset = 0;  // of the decompressed text
  std::string text;          // without its line end; cut if not `readable`
  // InvalidArgument for a line that is longer than kMaxLineBytes.
  absl::Status readable;
};

inline constexpr size_t kMaxLineBytes = 4u << 20;

// Reads .jsonl, .jsonl.gz, .jsonl.zst, or "-" for standard input, front to
// back, in bounded memory. Empty lines are passed over; a byte order mark and
// CRLF line ends are taken off. Not thread safe.
class RowSource {
 public:
  static absl::StatusOr<RowSource> Open(const std::filesystem::path& path);

  // nullopt at the end. An error ends the file; it names the path, and has the
  // codes of ByteStream::Read.
  absl::StatusOr<std::optional<SourceLine>> Next();

  // Bytes of the file read so far, for progress.
  uint64_t num_taken() const { return stream_->num_taken(); }
  const std::filesystem::path& path() const { return path_; }

 private:
  RowSource(std::filesystem::path path, std::unique_ptr<ByteStream> stream);

  // Takes the next line off the buffer; nullopt where it holds no line end.
  std::optional<SourceLine> TakeBuffered();
  SourceLine TakeLine(size_t size);
  absl::Status Fill();

  std::filesystem::path path_;
  std::unique_ptr<ByteStream> stream_;
  std::string buffer_;
  size_t at_ = 0;           // where the unread part of buffer_ begins
  size_t num_scanned_ = 0;  // of the unread part, known to hold no line end
  size_t num_dropped_ = 0;  // of the current line, longer than the limit
  uint64_t byte_offset_ = 0;
  uint64_t number_ = 0;
  bool ended_ = false;
};

}  // namespace varalign::data

#endif  // VARALIGN_DATA_ROW_SOURCE_H_
