// The writing half of base/file.h.
#include <fcntl.h>
#include <stdio.h>

#include <cerrno>
#include <utility>

#include "absl/random/random.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "base/file.h"
#include "base/status_macros.h"

namespace varalign::base {
namespace {

// A hidden name in the same directory, so that rename stays on one file
// system. Random, not the pid: two hosts may write to one shared directory.
std::filesystem::path TemporaryBeside(const std::filesystem::path& path) {
  absl::BitGen random;
  return path.parent_path() / absl::StrFormat(".%s.%016x.tmp",
                                              path.filename().string(),
                                              absl::Uniform<uint64_t>(random));
}

}  // namespace

FileWriter::FileWriter(std::filesystem::path path, FileDescriptor descriptor)
    : path_(std::move(path)), descriptor_(std::move(descriptor)) {}

FileWriter::FileWriter(FileWriter&&) noexcept = default;

FileWriter::~FileWriter() {
  if (descriptor_.valid()) unlink(path_.c_str());
}

absl::StatusOr<FileWriter> FileWriter::Create(std::filesystem::path path) {
  FileDescriptor file(
      open(path.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0666));
  if (!file.valid()) return ErrnoStatus(errno, "create", path);
  return FileWriter(std::move(path), std::move(file));
}

absl::Status FileWriter::Append(std::string_view bytes) {
  while (!bytes.empty()) {
    const ssize_t count = write(descriptor_.get(), bytes.data(), bytes.size());
    if (count < 0) {
      if (errno == EINTR) continue;
      return ErrnoStatus(errno, "write", path_);
    }
    bytes.remove_prefix(static_cast<size_t>(count));
  }
  return absl::OkStatus();
}

absl::Status FileWriter::Commit() {
  if (fsync(descriptor_.get()) != 0) {
    // After a failed sync the kernel may call dirty pages clean, so that a
    // second sync would succeed over lost data.
    const absl::Status status = ErrnoStatus(errno, "sync", path_);
    unlink(path_.c_str());
    descriptor_.Close();
    return status;
  }
  descriptor_.Close();
  return absl::OkStatus();
}

absl::Status WriteFileAtomically(const std::filesystem::path& path,
                                 std::string_view contents) {
  const std::filesystem::path temporary = TemporaryBeside(path);
  ASSIGN_OR_RETURN(FileWriter writer, FileWriter::Create(temporary));
  RETURN_IF_ERROR(writer.Append(contents));
  RETURN_IF_ERROR(writer.Commit());
  if (rename(temporary.c_str(), path.c_str()) != 0) {
    const absl::Status status = ErrnoStatus(errno, "replace", path);
    unlink(temporary.c_str());
    return status;
  }
  const std::filesystem::path parent = path.parent_path();
  return SyncDirectory(parent.empty() ? "." : parent);
}

}  // namespace varalign::base
