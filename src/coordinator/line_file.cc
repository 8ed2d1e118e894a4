#include "coordinator/line_file.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <string>

#include "absl/strings/match.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/strip.h"
#include "base/file.h"
#include "base/file_descriptor.h"
#include "base/status_macros.h"
#include "base/string_view.h"

namespace varalign::coordinator {
namespace {

// Longer than any line.
constexpr size_t kTailBytes = 256 << 10;
constexpr char kStart[] = "{\"number\":";

struct Tail {
  std::string text;
  off_t begin = 0;  // of `text` in the file
};

absl::StatusOr<Tail> ReadTail(const base::FileDescriptor& file,
                              const std::filesystem::path& path) {
  struct stat status = {};
  if (fstat(file.get(), &status) != 0) {
    return base::ErrnoStatus(errno, "stat", path);
  }
  Tail tail;
  const auto size = static_cast<size_t>(status.st_size);
  tail.text.resize(std::min(size, kTailBytes));
  tail.begin = static_cast<off_t>(size - tail.text.size());
  const ssize_t count =
      pread(file.get(), tail.text.data(), tail.text.size(), tail.begin);
  if (count < 0) return base::ErrnoStatus(errno, "read", path);
  tail.text.resize(static_cast<size_t>(count));
  return tail;
}

}  // namespace

absl::StatusOr<uint64_t> MendLineFile(const std::filesystem::path& path) {
  const base::FileDescriptor file(open(path.c_str(), O_RDWR | O_CLOEXEC));
  if (!file.valid()) {
    if (errno == ENOENT) return 0;
    return base::ErrnoStatus(errno, "open", path);
  }
  ASSIGN_OR_RETURN(Tail tail, ReadTail(file, path));
  const size_t last_newline = tail.text.rfind('\n');
  const size_t whole = last_newline == std::string::npos ? 0 : last_newline + 1;
  if (whole < tail.text.size() &&
      ftruncate(file.get(), tail.begin + static_cast<off_t>(whole)) != 0) {
    return base::ErrnoStatus(errno, "truncate", path);
  }
  if (whole == 0) return 0;
  const size_t before = tail.text.rfind('\n', whole - 2);
  const size_t start =
      whole < 2 || before == std::string::npos ? 0 : before + 1;
  absl::string_view line =
      absl::string_view(tail.text).substr(start, whole - 1 - start);
  uint64_t number = 0;
  if (!absl::ConsumePrefix(&line, kStart) ||
      !absl::SimpleAtoi(line.substr(0, line.find_first_not_of("0123456789")),
                        &number)) {
    return absl::DataLossError(
        absl::StrCat("the last line is not one that the coordinator wrote: ",
                     path.string()));
  }
  return number;
}

absl::Status AppendLines(const std::filesystem::path& path,
                         std::string_view lines) {
  const base::FileDescriptor file(
      open(path.c_str(), O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC, 0644));
  if (!file.valid()) return base::ErrnoStatus(errno, "open", path);
  while (!lines.empty()) {
    const ssize_t count = write(file.get(), lines.data(), lines.size());
    if (count < 0 && errno == EINTR) continue;
    if (count < 0) return base::ErrnoStatus(errno, "write", path);
    lines.remove_prefix(static_cast<size_t>(count));
  }
  return absl::OkStatus();
}

}  // namespace varalign::coordinator
