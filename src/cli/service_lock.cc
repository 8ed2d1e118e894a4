#include "cli/service_lock.h"

#include <fcntl.h>
#include <sys/file.h>
#include <unistd.h>

#include <cerrno>
#include <string>

#include "absl/strings/ascii.h"
#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"
#include "base/exit_code.h"
#include "base/file.h"
#include "base/status_macros.h"

namespace varalign::cli {
namespace {

namespace fs = std::filesystem;

constexpr absl::Duration kDeathTimeout = absl::Seconds(10);
constexpr absl::Duration kPollInterval = absl::Milliseconds(20);

// The pid that the holder has written; "unknown" before it has.
std::string HolderOf(const base::FileDescriptor& lock) {
  char buffer[32] = {};
  const ssize_t count = pread(lock.get(), buffer, sizeof(buffer) - 1, 0);
  const std::string pid(absl::StripAsciiWhitespace(buffer));
  return count <= 0 || pid.empty() ? "unknown" : pid;
}

// The coordinator dies with its client, a moment later.
void AwaitDeathOfCoordinator(const fs::path& state) {
  const base::FileDescriptor lock(
      open((state / "lock").c_str(), O_RDWR | O_CLOEXEC));
  if (!lock.valid()) return;
  const absl::Time deadline = absl::Now() + kDeathTimeout;
  while (flock(lock.get(), LOCK_EX | LOCK_NB) != 0 && absl::Now() < deadline) {
    absl::SleepFor(kPollInterval);
  }
}

}  // namespace

absl::StatusOr<ServiceLock> ServiceLock::Take(const fs::path& directory) {
  const absl::Status made = base::CreateDirectories(directory);
  if (!made.ok()) return base::WithExitCode(made, base::kExitCannotCreate);
  const fs::path path = directory / "lock";
  base::FileDescriptor lock(
      open(path.c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0600));
  if (!lock.valid()) {
    return base::WithExitCode(base::ErrnoStatus(errno, "open", path),
                              base::kExitCannotCreate);
  }
  if (flock(lock.get(), LOCK_EX | LOCK_NB) != 0) {
    if (errno != EWOULDBLOCK) return base::ErrnoStatus(errno, "lock", path);
    return base::WithExitCode(
        absl::UnavailableError(absl::StrCat(
            "this run is being trained by another `varalign train`: wait for "
            "it, stop it, or choose another --out; pid ",
            HolderOf(lock), ", directory ", directory.string())),
        base::kExitUnavailable);
  }
  const std::string pid = absl::StrCat(getpid(), "\n");
  if (ftruncate(lock.get(), 0) != 0 ||
      pwrite(lock.get(), pid.data(), pid.size(), 0) < 0) {
    return base::ErrnoStatus(errno, "write", path);
  }
  AwaitDeathOfCoordinator(directory / "state");
  return ServiceLock(std::move(lock));
}

}  // namespace varalign::cli
