// Files as the project uses them: read whole, written atomically, mapped.
//
// Errors of all functions name the path:
//   NotFound            no such file or directory
//   PermissionDenied    EACCES, EPERM, EROFS
//   ResourceExhausted   ENOSPC, EDQUOT, EMFILE, ENFILE, ENOMEM
//   AlreadyExists       EEXIST, ENOTEMPTY
//   InvalidArgument     a directory where a file should be, a name too long, a
//                       loop of links, two file systems
//   Unavailable         other I/O errors
#ifndef VARALIGN_BASE_FILE_H_
#define VARALIGN_BASE_FILE_H_

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <span>
#include <string>
#include <string_view>

#include "absl/functional/function_ref.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "base/file_descriptor.h"

namespace varalign::base {

// Status for the value of errno after `operation` ("open", "fsync") on `path`.
absl::Status ErrnoStatus(int error, std::string_view operation,
                         const std::filesystem::path& path);

// OutOfRange if the file is larger than `limit_bytes`.
absl::StatusOr<std::string> ReadFile(const std::filesystem::path& path,
                                     uint64_t limit_bytes = 1ull << 30);

// Hands the contents to `take` from front to back in blocks of at most 1 MiB.
absl::Status ReadFileInBlocks(const std::filesystem::path& path,
                              absl::FunctionRef<void(std::string_view)> take);

// Temporary file beside `path`, write, fsync, rename, fsync the directory. On
// an error nothing is left behind and an older `path` is untouched.
absl::Status WriteFileAtomically(const std::filesystem::path& path,
                                 std::string_view contents);

absl::Status SyncDirectory(const std::filesystem::path& directory);

// rename(2) and fsync of the target's parent.
absl::Status RenameDurably(const std::filesystem::path& from,
                           const std::filesystem::path& to);

absl::Status CreateDirectories(const std::filesystem::path& directory);

// Bytes free for this user on the file system of `path`.
absl::StatusOr<uint64_t> FreeBytes(const std::filesystem::path& path);

// A new file written front to back. Not thread safe. Destroyed before Commit,
// it removes the file.
class FileWriter {
 public:
  // AlreadyExists if the file is there.
  static absl::StatusOr<FileWriter> Create(std::filesystem::path path);
  FileWriter(FileWriter&&) noexcept;
  FileWriter& operator=(FileWriter&&) = delete;
  ~FileWriter();

  absl::Status Append(std::string_view bytes);
  // fsync and close. A failed sync is final: write a new file.
  absl::Status Commit();

 private:
  FileWriter(std::filesystem::path path, FileDescriptor descriptor);

  std::filesystem::path path_;
  FileDescriptor descriptor_;  // invalid: committed or moved from
};

// A file mapped read only. Copies nothing; the span lives as long as the
// object. Movable. A file that shrinks while mapped raises SIGBUS: verify
// checksums of files that others may write.
class MappedFile {
 public:
  // InvalidArgument if `path` is no regular file.
  static absl::StatusOr<MappedFile> Open(const std::filesystem::path& path);
  MappedFile(MappedFile&& other) noexcept;
  MappedFile& operator=(MappedFile&& other) noexcept;
  ~MappedFile();

  std::span<const std::byte> bytes() const { return {data_, size_}; }
  std::string_view text() const {
    return {reinterpret_cast<const char*>(data_), size_};
  }

 private:
  MappedFile(const std::byte* data, size_t size) : data_(data), size_(size) {}

  const std::byte* data_ = nullptr;
  size_t size_ = 0;
};

}  // namespace varalign::base

#endif  // VARALIGN_BASE_FILE_H_
