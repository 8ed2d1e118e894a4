#include "base/file.h"

#include <fcntl.h>
#include <stdio.h>
#include <sys/statvfs.h>

#include <cerrno>
#include <memory>
#include <system_error>

#include "absl/strings/str_cat.h"
#include "base/status_macros.h"
#include "base/string_view.h"

namespace varalign::base {
namespace {

constexpr size_t kBlockBytes = 1 << 20;

absl::StatusCode CodeOfErrno(int error) {
  switch (error) {
    case ENOENT:
    case ENOTDIR:
      return absl::StatusCode::kNotFound;
    case EACCES:
    case EPERM:
    case EROFS:
      return absl::StatusCode::kPermissionDenied;
    case ENOSPC:
    case EDQUOT:
    case EMFILE:
    case ENFILE:
    case ENOMEM:
      return absl::StatusCode::kResourceExhausted;
    case EEXIST:
    case ENOTEMPTY:
      return absl::StatusCode::kAlreadyExists;
    case EISDIR:
    case ENAMETOOLONG:
    case ELOOP:
    case EXDEV:
      return absl::StatusCode::kInvalidArgument;
    default:
      return absl::StatusCode::kUnavailable;
  }
}

absl::StatusOr<FileDescriptor> OpenForReading(
    const std::filesystem::path& path) {
  FileDescriptor file(open(path.c_str(), O_RDONLY | O_CLOEXEC));
  if (!file.valid()) return ErrnoStatus(errno, "open", path);
  return file;
}

// Returns the number of bytes read into `buffer`; 0 at the end.
absl::StatusOr<size_t> ReadSome(const FileDescriptor& file,
                                std::span<char> buffer,
                                const std::filesystem::path& path) {
  ssize_t count = 0;
  do {
    count = read(file.get(), buffer.data(), buffer.size());
  } while (count < 0 && errno == EINTR);
  if (count < 0) return ErrnoStatus(errno, "read", path);
  return static_cast<size_t>(count);
}

}  // namespace

absl::Status ErrnoStatus(int error, std::string_view operation,
                         const std::filesystem::path& path) {
  return absl::Status(CodeOfErrno(error),
                      absl::StrCat("cannot ", ToAbsl(operation), ": ",
                                   std::generic_category().message(error), ": ",
                                   path.string()));
}

absl::StatusOr<std::string> ReadFile(const std::filesystem::path& path,
                                     uint64_t limit_bytes) {
  ASSIGN_OR_RETURN(const FileDescriptor file, OpenForReading(path));
  std::string contents;
  size_t size = 0;
  while (true) {
    // The size that stat tells is not asked for: it is 0 for pipes and /proc.
    contents.resize(size + std::max(size, size_t{64} << 10));
    ASSIGN_OR_RETURN(const size_t count,
                     ReadSome(file, std::span(contents).subspan(size), path));
    size += count;
    if (size > limit_bytes) {
      return absl::OutOfRangeError(absl::StrCat(
          "file is larger than ", limit_bytes, " bytes: ", path.string()));
    }
    if (count == 0) break;
  }
  contents.resize(size);
  return contents;
}

absl::Status ReadFileInBlocks(const std::filesystem::path& path,
                              absl::FunctionRef<void(std::string_view)> take) {
  ASSIGN_OR_RETURN(const FileDescriptor file, OpenForReading(path));
  const auto buffer = std::make_unique<char[]>(kBlockBytes);
  while (true) {
    ASSIGN_OR_RETURN(const size_t count,
                     ReadSome(file, {buffer.get(), kBlockBytes}, path));
    if (count == 0) return absl::OkStatus();
    take(std::string_view(buffer.get(), count));
  }
}

absl::Status SyncDirectory(const std::filesystem::path& directory) {
  const FileDescriptor file(
      open(directory.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  if (!file.valid()) return ErrnoStatus(errno, "open directory", directory);
  if (fsync(file.get()) != 0) {
    return ErrnoStatus(errno, "sync directory", directory);
  }
  return absl::OkStatus();
}

absl::Status RenameDurably(const std::filesystem::path& from,
                           const std::filesystem::path& to) {
  if (rename(from.c_str(), to.c_str()) != 0) {
    return ErrnoStatus(errno, absl::StrCat("rename ", from.string(), " to"),
                       to);
  }
  const std::filesystem::path parent = to.parent_path();
  return SyncDirectory(parent.empty() ? "." : parent);
}

absl::Status CreateDirectories(const std::filesystem::path& directory) {
  std::error_code error;
  std::filesystem::create_directories(directory, error);
  if (error) return ErrnoStatus(error.value(), "create directory", directory);
  // create_directories is content with a file that is in the way.
  if (!std::filesystem::is_directory(directory, error)) {
    return ErrnoStatus(error ? error.value() : EEXIST, "create directory",
                       directory);
  }
  return absl::OkStatus();
}

absl::StatusOr<uint64_t> FreeBytes(const std::filesystem::path& path) {
  struct statvfs stats;
  if (statvfs(path.c_str(), &stats) != 0) {
    return ErrnoStatus(errno, "read free space", path);
  }
  return uint64_t{stats.f_bavail} * stats.f_frsize;
}

}  // namespace varalign::base
