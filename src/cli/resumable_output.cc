#include "cli/resumable_output.h"

#include <fcntl.h>
#include <sys/file.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <optional>
#include <system_error>
#include <utility>

#include "absl/strings/str_cat.h"
#include "base/digest.h"
#include "base/exit_code.h"
#include "base/file.h"
#include "base/json.h"
#include "base/status_macros.h"
#include "base/string_view.h"

namespace varalign::cli {
namespace {

namespace fs = std::filesystem;

fs::path PartialOf(const fs::path& out) { return out.string() + ".partial"; }

// The texts of the whole lines at the start of `bytes`, up to the first that is
// none; `size` receives their bytes.
std::vector<std::string> WholeLines(std::string_view bytes, size_t& size) {
  std::vector<std::string> lines;
  size = 0;
  while (true) {
    const size_t end = bytes.find('\n', size);
    if (end == std::string_view::npos) return lines;
    const auto line = base::ParseJson(bytes.substr(size, end - size));
    if (!line.ok() || !line->is_string()) return lines;
    lines.push_back(line->get<std::string>());
    size = end + 1;
  }
}

}  // namespace

absl::StatusOr<ResumableOutput> ResumableOutput::Open(
    const fs::path& out, std::string_view settings) {
  const fs::path partial = PartialOf(out);
  base::FileDescriptor file(
      open(partial.c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0666));
  if (!file.valid()) return base::ErrnoStatus(errno, "open", partial);
  if (flock(file.get(), LOCK_EX | LOCK_NB) != 0) {
    return absl::UnavailableError(absl::StrCat(
        "another process is writing this file, wait for it or choose another "
        "--out: ",
        partial.string()));
  }
  ResumableOutput output(out, std::move(file));
  RETURN_IF_ERROR(output.ReadPartial(settings));
  return output;
}

absl::Status ResumableOutput::ReadPartial(std::string_view settings) {
  const fs::path path = PartialOf(out_);
  ASSIGN_OR_RETURN(const std::string bytes, base::ReadFile(path, UINT64_MAX));
  size_t size = 0;
  std::vector<std::string> lines = WholeLines(bytes, size);
  if (!lines.empty() && lines.front() != settings) {
    return base::WithExitCode(
        absl::FailedPreconditionError(absl::StrCat(
            "unfinished work with other inputs or options is in the way; "
            "repeat that command, or remove the file: ",
            path.string())),
        base::kExitBadConfig);
  }
  if (ftruncate(partial_.get(), static_cast<off_t>(size)) != 0 ||
      lseek(partial_.get(), 0, SEEK_END) < 0) {
    return base::ErrnoStatus(errno, "ftruncate", path);
  }
  if (lines.empty()) return Write(settings);
  parts_.assign(std::make_move_iterator(lines.begin() + 1),
                std::make_move_iterator(lines.end()));
  return absl::OkStatus();
}

absl::Status ResumableOutput::Write(std::string_view line) {
  std::string text = base::DumpJson(std::string(line));
  text += '\n';
  std::string_view left = text;
  while (!left.empty()) {
    const ssize_t written = write(partial_.get(), left.data(), left.size());
    if (written < 0 && errno == EINTR) continue;
    if (written < 0) return base::ErrnoStatus(errno, "write", PartialOf(out_));
    left.remove_prefix(static_cast<size_t>(written));
  }
  return absl::OkStatus();
}

absl::Status ResumableOutput::Append(std::string_view part) {
  RETURN_IF_ERROR(Write(part));
  parts_.emplace_back(part);
  return absl::OkStatus();
}

absl::Status ResumableOutput::Finish() {
  std::string whole;
  for (const std::string& part : parts_) whole += part;
  RETURN_IF_ERROR(base::WriteFileAtomically(out_, whole));
  std::error_code ignored;
  fs::remove(PartialOf(out_), ignored);
  return absl::OkStatus();
}

std::string StampOf(const fs::path& directory) {
  std::vector<std::string> files;
  std::error_code error;
  for (const auto& entry : fs::directory_iterator(directory, error)) {
    if (!entry.is_regular_file(error)) continue;
    files.push_back(absl::StrCat(
        entry.path().filename().string(), " ", entry.file_size(error), " ",
        entry.last_write_time(error).time_since_epoch().count()));
  }
  if (files.empty()) return "";
  std::sort(files.begin(), files.end());
  base::Xxh3Stream digest;
  for (const std::string& file : files) digest.Update(file);
  return digest.Finish();
}

}  // namespace varalign::cli
