#include "coordinator/state_directory.h"

#include <fcntl.h>
#include <sys/file.h>
#include <unistd.h>

#include <cerrno>
#include <string>
#include <system_error>

#include "absl/strings/ascii.h"
#include "absl/strings/str_cat.h"
#include "base/exit_code.h"
#include "base/file.h"
#include "base/status_macros.h"

namespace varalign::coordinator {
namespace {

std::string HolderPid(int descriptor) {
  char buffer[32] = {};
  const ssize_t count = pread(descriptor, buffer, sizeof(buffer) - 1, 0);
  return count <= 0 ? std::string("unknown")
                    : std::string(absl::StripAsciiWhitespace(buffer));
}

}  // namespace

absl::StatusOr<StateDirectory> StateDirectory::Lock(
    const std::filesystem::path& directory) {
  std::error_code error;
  const bool is_new = !std::filesystem::exists(directory, error);
  RETURN_IF_ERROR(base::CreateDirectories(directory));
  if (is_new) {
    std::filesystem::permissions(directory, std::filesystem::perms::owner_all,
                                 error);
    if (error) return base::ErrnoStatus(error.value(), "chmod", directory);
  }
  const auto path = directory / "lock";
  base::FileDescriptor lock(
      open(path.c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0600));
  if (!lock.valid()) return base::ErrnoStatus(errno, "open", path);
  if (flock(lock.get(), LOCK_EX | LOCK_NB) != 0) {
    if (errno != EWOULDBLOCK) return base::ErrnoStatus(errno, "lock", path);
    return base::WithExitCode(
        absl::UnavailableError(absl::StrCat(
            "another coordinator uses this state directory: stop it, or choose "
            "another --state; pid ",
            HolderPid(lock.get()), ", directory ", directory.string())),
        base::kExitUnavailable);
  }
  const std::string pid = absl::StrCat(getpid(), "\n");
  if (ftruncate(lock.get(), 0) != 0 ||
      pwrite(lock.get(), pid.data(), pid.size(), 0) < 0) {
    return base::ErrnoStatus(errno, "write", path);
  }
  return StateDirectory(directory, std::move(lock));
}

}  // namespace varalign::coordinator
