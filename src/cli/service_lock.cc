#include "cli/service_lock.h"

#include <system_error>

#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"
#include "base/exit_code.h"
#include "base/file.h"

namespace varalign::cli {
namespace {

namespace fs = std::filesystem;

constexpr absl::Duration kDeathTimeout = absl::Seconds(10);
constexpr absl::Duration kPollInterval = absl::Milliseconds(20);

// The coordinator dies with its client, a moment later.
void AwaitDeathOfCoordinator(const fs::path& state) {
  const fs::path lock = state / "lock";
  std::error_code error;
  if (!fs::exists(lock, error)) return;
  const absl::Time deadline = absl::Now() + kDeathTimeout;
  while (!base::LockFile::Take(lock).ok() && absl::Now() < deadline) {
    absl::SleepFor(kPollInterval);
  }
}

}  // namespace

absl::StatusOr<ServiceLock> ServiceLock::Take(const fs::path& directory) {
  const absl::Status made = base::CreateDirectories(directory);
  if (!made.ok()) return base::WithExitCode(made, base::kExitCannotCreate);
  const fs::path path = directory / "lock";
  absl::StatusOr<base::LockFile> lock = base::LockFile::Take(path);
  if (absl::IsUnavailable(lock.status())) {
    return base::WithExitCode(
        absl::UnavailableError(absl::StrCat(
            "this run is being trained by another `varalign train`: wait for "
            "it, stop it, or choose another --out; pid ",
            base::LockHolder(path), ", directory ", directory.string())),
        base::kExitUnavailable);
  }
  if (!lock.ok()) {
    return base::WithExitCode(lock.status(), base::kExitCannotCreate);
  }
  AwaitDeathOfCoordinator(directory / "state");
  return ServiceLock(*std::move(lock));
}

}  // namespace varalign::cli
