#include "data/byte_stream.h"

#include <fcntl.h>
#include <unistd.h>
#include <zlib.h>
#include <zstd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstring>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "base/file.h"
#include "base/status_macros.h"

namespace varalign::data {
namespace {

constexpr size_t kChunkBytes = 1u << 16;
// Text shrinks to a tenth or so; more than this is an attack on the disk.
constexpr uint64_t kMaxRatio = 200;
constexpr uint64_t kFreeBytes = 1u << 20;  // small files may shrink more

// A descriptor, with what was read of it to look at its first bytes.
class FileStream : public ByteStream {
 public:
  FileStream(std::filesystem::path path, int descriptor)
      : path_(std::move(path)), descriptor_(descriptor) {}
  FileStream(const FileStream&) = delete;
  ~FileStream() override {
    if (descriptor_ != STDIN_FILENO) close(descriptor_);
  }

  absl::StatusOr<size_t> Read(std::span<char> buffer) override {
    if (!head_.empty()) {
      const size_t size = std::min(buffer.size(), head_.size());
      std::memcpy(buffer.data(), head_.data(), size);
      head_.erase(0, size);
      return size;
    }
    ASSIGN_OR_RETURN(const size_t size, ReadDescriptor(buffer));
    num_taken_ += size;
    return size;
  }
  uint64_t num_taken() const override { return num_taken_; }

  // The first bytes, which Read gives again; fewer at the end of the file.
  absl::StatusOr<std::string_view> Peek(size_t size) {
    while (head_.size() < size) {
      std::array<char, 16> more;
      ASSIGN_OR_RETURN(const size_t got, ReadDescriptor(more));
      if (got == 0) break;
      num_taken_ += got;
      head_.append(more.data(), got);
    }
    return std::string_view(head_).substr(0, size);
  }

 private:
  absl::StatusOr<size_t> ReadDescriptor(std::span<char> buffer) {
    while (true) {
      const ssize_t size = read(descriptor_, buffer.data(), buffer.size());
      if (size >= 0) return static_cast<size_t>(size);
      if (errno != EINTR) return base::ErrnoStatus(errno, "read", path_);
    }
  }

  const std::filesystem::path path_;
  const int descriptor_;
  std::string head_;
  uint64_t num_taken_ = 0;
};

absl::Status TooSmall(uint64_t taken, uint64_t given) {
  if (given <= kFreeBytes || given / kMaxRatio <= taken) {
    return absl::OkStatus();
  }
  return absl::InvalidArgumentError(
      absl::StrCat("compressed more than ", kMaxRatio, "-fold: refused after ",
                   given, " bytes from ", taken));
}

// What gzip and zstd have in common: a chunk of input, and the ratio.
class Decompressor : public ByteStream {
 public:
  explicit Decompressor(std::unique_ptr<FileStream> file)
      : file_(std::move(file)), chunk_(kChunkBytes) {}

  absl::StatusOr<size_t> Read(std::span<char> buffer) final {
    while (true) {
      if (input_.empty()) {
        ASSIGN_OR_RETURN(const size_t size, file_->Read(chunk_));
        input_ = std::span<char>(chunk_).first(size);
        if (size == 0) {
          // The decoder may still hold output.
          ASSIGN_OR_RETURN(const size_t rest, Decode(buffer));
          if (rest > 0) return rest;
          if (ended_) return 0;
          return absl::DataLossError(
              "the compressed file ends early: copy it again");
        }
      }
      ASSIGN_OR_RETURN(const size_t size, Decode(buffer));
      num_given_ += size;
      RETURN_IF_ERROR(TooSmall(file_->num_taken(), num_given_));
      if (size > 0) return size;
    }
  }
  uint64_t num_taken() const override { return file_->num_taken(); }

 protected:
  // Decodes from the front of input_, which it shortens. Sets ended_ when a
  // member or frame is complete and no other has begun.
  virtual absl::StatusOr<size_t> Decode(std::span<char> buffer) = 0;

  std::span<char> input_;
  bool ended_ = false;

 private:
  std::unique_ptr<FileStream> file_;
  std::vector<char> chunk_;
  uint64_t num_given_ = 0;
};

class GzipStream : public Decompressor {
 public:
  explicit GzipStream(std::unique_ptr<FileStream> file)
      : Decompressor(std::move(file)) {
    // 16: a gzip header is demanded.
    inflateInit2(&state_, MAX_WBITS + 16);
  }
  ~GzipStream() override { inflateEnd(&state_); }

 private:
  absl::StatusOr<size_t> Decode(std::span<char> buffer) override {
    if (ended_) {
      if (input_.empty()) return 0;
      inflateReset(&state_);  // members may follow one another
      ended_ = false;
    }
    state_.next_in = reinterpret_cast<Bytef*>(input_.data());
    state_.avail_in = static_cast<uInt>(input_.size());
    state_.next_out = reinterpret_cast<Bytef*>(buffer.data());
    state_.avail_out = static_cast<uInt>(buffer.size());
    const int code = inflate(&state_, Z_NO_FLUSH);
    input_ = input_.last(state_.avail_in);
    if (code == Z_STREAM_END) {
      ended_ = true;
    } else if (code != Z_OK && code != Z_BUF_ERROR) {
      return absl::DataLossError(
          absl::StrCat("the gzip data is damaged: ",
                       state_.msg == nullptr ? "no detail" : state_.msg));
    }
    return buffer.size() - state_.avail_out;
  }

  z_stream state_{};
};

class ZstdStream : public Decompressor {
 public:
  explicit ZstdStream(std::unique_ptr<FileStream> file)
      : Decompressor(std::move(file)), state_(ZSTD_createDStream()) {
    // A window of at most 128 MiB, whatever the frame asks for.
    ZSTD_DCtx_setParameter(state_, ZSTD_d_windowLogMax, 27);
  }
  ~ZstdStream() override { ZSTD_freeDStream(state_); }

 private:
  absl::StatusOr<size_t> Decode(std::span<char> buffer) override {
    ZSTD_inBuffer in{input_.data(), input_.size(), 0};
    ZSTD_outBuffer out{buffer.data(), buffer.size(), 0};
    const size_t code = ZSTD_decompressStream(state_, &out, &in);
    if (ZSTD_isError(code)) {
      return absl::DataLossError(
          absl::StrCat("the zstd data is damaged: ", ZSTD_getErrorName(code)));
    }
    // Without input the decoder only asks for a new frame.
    if (in.pos > 0 || out.pos > 0) ended_ = code == 0;
    input_ = input_.subspan(in.pos);
    return out.pos;
  }

  ZSTD_DStream* state_;
};

absl::Status RefuseForeignFormat(std::string_view head) {
  if (head == "PAR1") {
    return absl::InvalidArgumentError(
        "Parquet is not read: convert it to JSON lines, for instance with "
        "python -c \"import pandas as p, sys; p.read_parquet(sys.argv[1])"
        ".to_json(sys.argv[2], orient='records', lines=True)\" IN OUT.jsonl");
  }
  if (head.starts_with("\xff\xfe") || head.starts_with("\xfe\xff")) {
    return absl::InvalidArgumentError(
        "UTF-16 is not read: convert it with iconv -f UTF-16 -t UTF-8");
  }
  return absl::OkStatus();
}

}  // namespace

absl::StatusOr<std::unique_ptr<ByteStream>> OpenByteStream(
    const std::filesystem::path& path) {
  int descriptor = STDIN_FILENO;
  if (path != "-") {
    descriptor = open(path.c_str(), O_RDONLY | O_CLOEXEC);
    if (descriptor < 0) return base::ErrnoStatus(errno, "open", path);
  }
  auto file = std::make_unique<FileStream>(path, descriptor);
  ASSIGN_OR_RETURN(const std::string_view head, file->Peek(4));
  RETURN_IF_ERROR(RefuseForeignFormat(head));
  if (head.starts_with("\x1f\x8b")) {
    return std::make_unique<GzipStream>(std::move(file));
  }
  if (head == "\x28\xb5\x2f\xfd") {
    return std::make_unique<ZstdStream>(std::move(file));
  }
  return file;
}

}  // namespace varalign::data
