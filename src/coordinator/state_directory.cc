#include "coordinator/state_directory.h"

#include <system_error>

#include "absl/strings/str_cat.h"
#include "base/exit_code.h"
#include "base/file.h"
#include "base/status_macros.h"

namespace varalign::coordinator {

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
  absl::StatusOr<base::LockFile> lock = base::LockFile::Take(path);
  if (absl::IsUnavailable(lock.status())) {
    return base::WithExitCode(
        absl::UnavailableError(absl::StrCat(
            "another coordinator uses this state directory: stop it, or choose "
            "another --state; pid ",
            base::LockHolder(path), ", directory ", directory.string())),
        base::kExitUnavailable);
  }
  RETURN_IF_ERROR(lock.status());
  return StateDirectory(directory, *std::move(lock));
}

}  // namespace varalign::coordinator
