// The --state directory: one coordinator at a time.
#ifndef VARALIGN_COORDINATOR_STATE_DIRECTORY_H_
#define VARALIGN_COORDINATOR_STATE_DIRECTORY_H_

#include <filesystem>
#include <utility>

#include "absl/status/statusor.h"
#include "base/lock_file.h"

namespace varalign::coordinator {

// Holds the lock of the directory as long as it lives; a process that dies
// gives it back. A value; one thread makes it, any may read the path.
class StateDirectory {
 public:
  // Makes the directory (mode 0700) if it is not there. Unavailable (exit code
  // 69): another process holds it; the message names its pid.
  static absl::StatusOr<StateDirectory> Lock(
      const std::filesystem::path& directory);

  std::filesystem::path database() const { return path_ / "coordinator.db"; }

 private:
  StateDirectory(std::filesystem::path path, base::LockFile lock)
      : path_(std::move(path)), lock_(std::move(lock)) {}

  std::filesystem::path path_;
  base::LockFile lock_;
};

}  // namespace varalign::coordinator

#endif  // VARALIGN_COORDINATOR_STATE_DIRECTORY_H_
