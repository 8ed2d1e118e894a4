#include "base/lock_file.h"

#include <fcntl.h>
#include <sys/file.h>
#include <unistd.h>

#include <cerrno>

#include "absl/strings/ascii.h"
#include "absl/strings/str_cat.h"
#include "base/file.h"

namespace varalign::base {

absl::StatusOr<LockFile> LockFile::Take(const std::filesystem::path& file) {
  FileDescriptor held(open(file.c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0600));
  if (!held.valid()) return ErrnoStatus(errno, "open", file);
  if (flock(held.get(), LOCK_EX | LOCK_NB) != 0) {
    if (errno != EWOULDBLOCK) return ErrnoStatus(errno, "lock", file);
    return absl::UnavailableError(
        absl::StrCat("another process holds the file: pid ", LockHolder(file),
                     ", file ", file.string()));
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
