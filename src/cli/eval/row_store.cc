#include "cli/eval/row_store.h"

#include <fcntl.h>
#include <unistd.h>

#include <cerrno>
#include <string>
#include <string_view>

#include "absl/strings/str_cat.h"
#include "base/file.h"
#include "base/status_macros.h"

namespace varalign::cli {

absl::StatusOr<RowStore> RowStore::Open(std::filesystem::path path,
                                        base::Json settings) {
  RowStore store(std::move(path), std::move(settings));
  if (store.path_.empty()) return store;
  store.file_ = base::FileDescriptor(
      open(store.path_.c_str(), O_RDWR | O_CREAT | O_APPEND | O_CLOEXEC, 0666));
  if (!store.file_.valid())
    return base::ErrnoStatus(errno, "open", store.path_);
  RETURN_IF_ERROR(store.Read());
  return store;
}

absl::Status RowStore::Read() {
  ASSIGN_OR_RETURN(const std::string text, base::ReadFile(path_));
  // A line without its end was being written when the program stopped.
  const size_t whole = text.rfind('\n') + 1;
  if (whole < text.size() &&
      ftruncate(file_.get(), static_cast<off_t>(whole)) != 0) {
    return base::ErrnoStatus(errno, "truncate", path_);
  }
  std::string_view left = std::string_view(text).substr(0, whole);
  if (left.empty()) {
    return Write(base::DumpJson({{"version", 1}, {"settings", settings_}}) +
                 "\n");
  }
  bool header = true;
  while (!left.empty()) {
    const size_t end = left.find('\n');
    absl::StatusOr<base::Json> row = base::ParseJson(left.substr(0, end));
    if (!row.ok() || !row->is_object()) {
      return absl::DataLossError(
          absl::StrCat("a line is no row of an evaluation; remove the file: ",
                       path_.string()));
    }
    left.remove_prefix(end + 1);
    if (header) {
      RETURN_IF_ERROR(CheckSettings(*row));
    } else {
      rows_.push_back(*std::move(row));
    }
    header = false;
  }
  return absl::OkStatus();
}

absl::Status RowStore::CheckSettings(const base::Json& header) const {
  const base::Json found = header.value("settings", base::Json::object());
  std::string differ;
  for (const auto& [name, value] : settings_.items()) {
    if (found.is_object() && found.contains(name) && found[name] == value) {
      continue;
    }
    absl::StrAppend(&differ, differ.empty() ? "" : ", ", name);
  }
  if (differ.empty()) return absl::OkStatus();
  return absl::FailedPreconditionError(absl::StrCat(
      "there are results of other settings; give another --out, or remove the "
      "file: ",
      path_.string(), " differs in ", differ));
}

absl::Status RowStore::Write(const std::string& lines) {
  std::string_view left = lines;
  while (!left.empty()) {
    const ssize_t count = write(file_.get(), left.data(), left.size());
    if (count < 0 && errno == EINTR) continue;
    if (count < 0) return base::ErrnoStatus(errno, "write", path_);
    left.remove_prefix(static_cast<size_t>(count));
  }
  if (fdatasync(file_.get()) == 0) return absl::OkStatus();
  return base::ErrnoStatus(errno, "sync", path_);
}

absl::Status RowStore::Append(std::span<const base::Json> rows) {
  std::string lines;
  for (const base::Json& row : rows) {
    absl::StrAppend(&lines, base::DumpJson(row), "\n");
  }
  if (file_.valid()) RETURN_IF_ERROR(Write(lines));
  rows_.insert(rows_.end(), rows.begin(), rows.end());
  return absl::OkStatus();
}

}  // namespace varalign::cli
