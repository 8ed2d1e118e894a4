#include "base/lock_file.h"

#include <fcntl.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>

#include "absl/strings/ascii.h"
#include "absl/strings/str_cat.h"
#include "base/file.h"

namespace varalign::base {
namespace {

// A file that was removed between open and flock locks nobody out.
bool IsAt(const FileDescriptor& held, const std::filesystem::path& file) {
  struct stat ours, there;
  return fstat(held.get(), &ours) == 0 && stat(file.c_str(), &there) == 0 &&
         ours.st_dev == there.st_dev && ours.st_ino == there.st_ino;
}

}  // namespace

absl::StatusOr<LockFile> LockFile::Take(const std::filesystem::path& file) {
  FileDescriptor held(open(file.c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0600));
  if (!held.valid()) return ErrnoStatus(errno, "open", file);
  if (flock(held.get(), LOCK_EX | LOCK_NB) != 0) {
    if (errno != EWOULDBLOCK) return ErrnoStatus(errno, "lock", file);
    return absl::UnavailableError(
        absl::StrCat("another process holds the file: pid ", LockHolder(file),
                     ", file ", file.string()));
  }
  if (!IsAt(held, file)) {
    return absl::UnavailableError(
        absl::StrCat("another process has just removed the file, try again: ",
                     file.string()));
  }
  const std::string pid = absl::StrCat(getpid(), "\n");
  if (ftruncate(held.get(), 0) != 0 ||
      pwrite(held.get(), pid.data(), pid.size(), 0) < 0) {
    return ErrnoStatus(errno, "write", file);
  }
  return LockFile(std::move(held));
}

std::string LockHolder(const std::filesystem::path& file) {
  const absl::StatusOr<std::string> text = ReadFile(file, 64);
  if (!text.ok()) return "unknown";
  const std::string pid(absl::StripAsciiWhitespace(*text));
  return pid.empty() ? "unknown" : pid;
}

}  // namespace varalign::base
