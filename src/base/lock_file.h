// A file that one process at a time holds; it says who: the holder's pid.
#ifndef VARALIGN_BASE_LOCK_FILE_H_
#define VARALIGN_BASE_LOCK_FILE_H_

#include <filesystem>
#include <string>
#include <utility>

#include "absl/status/statusor.h"
#include "base/file_descriptor.h"

namespace varalign::base {

// Holds the file as long as it lives; a process that dies gives it back. Not
// inherited by the programs that the holder starts. A value.
class LockFile {
 public:
  // Makes the file (mode 0600) if it is not there; does not wait.
  //
  //   Unavailable   another holds it: see LockHolder
  //   others        as ErrnoStatus: it cannot be made, locked or written
  static absl::StatusOr<LockFile> Take(const std::filesystem::path& file);

 private:
  explicit LockFile(FileDescriptor held) : held_(std::move(held)) {}

  FileDescriptor held_;
};

// The pid that the holder of `file` has written; "unknown" before it has.
std::string LockHolder(const std::filesystem::path& file);

}  // namespace varalign::base

#endif  // VARALIGN_BASE_LOCK_FILE_H_
