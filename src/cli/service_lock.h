// One `varalign train` at a time leads the processes of a run on this machine.
#ifndef VARALIGN_CLI_SERVICE_LOCK_H_
#define VARALIGN_CLI_SERVICE_LOCK_H_

#include <filesystem>
#include <utility>

#include "absl/status/statusor.h"
#include "base/lock_file.h"

namespace varalign::cli {

// Holds DIRECTORY/lock as long as it lives; a process that dies gives it back,
// and all processes that it started die with it.
class ServiceLock {
 public:
  // Makes the directory if it is not there, and waits some seconds for the
  // coordinator of a client that was killed just now. Unavailable (exit code
  // 69): another process leads the run; the message names its pid. Others (exit
  // code 73): the directory or the lock cannot be made.
  static absl::StatusOr<ServiceLock> Take(
      const std::filesystem::path& directory);

 private:
  explicit ServiceLock(base::LockFile lock) : lock_(std::move(lock)) {}

  base::LockFile lock_;
};

}  // namespace varalign::cli

#endif  // VARALIGN_CLI_SERVICE_LOCK_H_
