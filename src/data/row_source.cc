#include "data/row_source.h"

#include <algorithm>
#include <string_view>
#include <utility>

#include "absl/strings/str_cat.h"
#include "base/status_macros.h"
#include "base/string_view.h"

namespace varalign::data {
namespace {

constexpr size_t kReadBytes = 1u << 18;
constexpr size_t kShownBytes = 1024;  // of a line that is too long
constexpr std::string_view kByteOrderMark = "\xef\xbb\xbf";

}  // namespace

RowSource::RowSource(std::filesystem::path path,
                     std::unique_ptr<ByteStream> stream)
    : path_(std::move(path)), stream_(std::move(stream)) {}

absl::StatusOr<RowSource> RowSource::Open(const std::filesystem::path& path) {
  absl::StatusOr<std::unique_ptr<ByteStream>> stream = OpenByteStream(path);
  if (absl::IsInvalidArgument(stream.status())) {
    return absl::InvalidArgumentError(
        absl::StrCat(path.string(), ": ", stream.status().message()));
  }
  RETURN_IF_ERROR(stream.status());
  return RowSource(path, *std::move(stream));
}

absl::Status RowSource::Fill() {
  buffer_.erase(0, at_);
  at_ = 0;
  if (buffer_.size() > kMaxLineBytes) {
    // Keep what is shown of the line, and what tells how long it is.
    const size_t excess = buffer_.size() - kShownBytes;
    num_dropped_ += excess;
    buffer_.resize(kShownBytes);
    num_scanned_ = kShownBytes;
  }
  const size_t before = buffer_.size();
  buffer_.resize(before + kReadBytes);
  const absl::StatusOr<size_t> size =
      stream_->Read(std::span<char>(buffer_).subspan(before));
  if (!size.ok()) {
    return absl::Status(
        size.status().code(),
        absl::StrCat(path_.string(), ": ", size.status().message()));
  }
  buffer_.resize(before + *size);
  ended_ = *size == 0;
  return absl::OkStatus();
}

SourceLine RowSource::TakeLine(size_t size) {
  SourceLine line;
  line.number = ++number_;
  line.byte_offset = byte_offset_;
  const size_t length = num_dropped_ + size;
  std::string_view text = std::string_view(buffer_).substr(at_, size);
  if (length > kMaxLineBytes) {
    line.readable = absl::InvalidArgumentError(
        absl::StrCat("the line is longer than the limit of ", kMaxLineBytes,
                     " bytes: ", length));
    text = text.substr(0, kShownBytes);
  }
  if (number_ == 1 && text.starts_with(kByteOrderMark)) {
    text.remove_prefix(kByteOrderMark.size());
  }
  if (text.ends_with('\r')) text.remove_suffix(1);
  line.text = text;
  byte_offset_ += length;
  at_ += size;
  num_dropped_ = num_scanned_ = 0;
  return line;
}

std::optional<SourceLine> RowSource::TakeBuffered() {
  const size_t end = buffer_.find('\n', at_ + num_scanned_);
  if (end == std::string::npos) {
    num_scanned_ = buffer_.size() - at_;
    return std::nullopt;
  }
  SourceLine line = TakeLine(end - at_);
  ++at_;  // the line end
  ++byte_offset_;
  return line;
}

absl::StatusOr<std::optional<SourceLine>> RowSource::Next() {
  while (true) {
    std::optional<SourceLine> line = TakeBuffered();
    if (!line.has_value()) {
      if (!ended_) {
        RETURN_IF_ERROR(Fill());
        continue;
      }
      if (at_ == buffer_.size()) return std::nullopt;
      line = TakeLine(buffer_.size() - at_);  // a last line without its end
    }
    const bool blank = line->text.find_first_not_of(" \t") == std::string::npos;
    if (!blank || !line->readable.ok()) return line;
  }
}

}  // namespace varalign::data
