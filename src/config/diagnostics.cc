#include "config/diagnostics.h"

#include <algorithm>
#include <tuple>
#include <utility>

#include "absl/strings/cord.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_replace.h"
#include "base/exit_code.h"
#include "base/logging.h"

namespace varalign::config {
namespace {

constexpr size_t kMaxShown = 100;
constexpr size_t kMaxQuoted = 80;

std::string PlaceText(const Place& place, const std::string& file) {
  if (place.is_flag()) {
    return absl::StrCat("--set ", base::StripControl(place.flag));
  }
  if (place.is_file()) {
    return absl::StrCat(file, ":", place.line, ":", place.column);
  }
  return file;
}

constexpr char kPayload[] = "varalign/diagnostics";

base::Json ErrorJson(const Place& place, const std::string& file,
                     const std::string& message) {
  base::Json error = {{"file", nullptr},
                      {"line", nullptr},
                      {"column", nullptr},
                      {"message", message}};
  if (!place.is_flag() && !file.empty()) error["file"] = file;
  if (place.is_file()) {
    error["line"] = place.line;
    error["column"] = place.column;
  }
  if (place.is_flag()) {
    error["message"] = absl::StrCat(PlaceText(place, file), ": ", message);
  }
  return error;
}

// File order; what has no place of its own comes before, flags come last.
auto OrderOf(const Place& place) {
  return std::tuple(place.is_flag(), place.line, place.column);
}

}  // namespace

std::string Quoted(std::string_view text) {
  std::string shown = absl::StrReplaceAll(
      base::StripControl(text.substr(0, kMaxQuoted)), {{"\n", " "}});
  if (text.size() > kMaxQuoted) shown += "...";
  return absl::StrCat("'", shown, "'");
}

base::Json DiagnosticsJson(const absl::Status& status) {
  if (const auto payload = status.GetPayload(kPayload)) {
    const auto errors = base::ParseJson(std::string(*payload));
    if (errors.ok()) return *errors;
  }
  return base::Json::array(
      {ErrorJson(Place(), "", std::string(status.message()))});
}

void Diagnostics::Add(Place place, std::string message) {
  errors_.push_back({std::move(place), std::move(message)});
}

absl::Status Diagnostics::ToStatus(const std::string& file) const {
  if (empty()) return absl::OkStatus();
  std::vector<const Error*> sorted;
  for (const Error& error : errors_) sorted.push_back(&error);
  // Errors of one place stay in the order in which they were found.
  std::sort(sorted.begin(), sorted.end(), [](const Error* a, const Error* b) {
    return std::tuple(OrderOf(a->place), a) < std::tuple(OrderOf(b->place), b);
  });
  std::string text;
  base::Json errors = base::Json::array();
  for (size_t i = 0; i < std::min(sorted.size(), kMaxShown); ++i) {
    absl::StrAppend(&text, PlaceText(sorted[i]->place, file),
                    ": error: ", sorted[i]->message, "\n");
    errors.push_back(ErrorJson(sorted[i]->place, file, sorted[i]->message));
  }
  if (sorted.size() > kMaxShown) {
    absl::StrAppend(&text, "... and ", sorted.size() - kMaxShown, " more\n");
  }
  absl::StrAppend(&text, sorted.size(),
                  sorted.size() == 1 ? " error" : " errors",
                  "; nothing was started. Reference: docs/config.md");
  absl::Status status = absl::InvalidArgumentError(text);
  status.SetPayload(kPayload, absl::Cord(base::DumpJson(errors)));
  return base::WithExitCode(std::move(status), base::kExitBadConfig);
}

}  // namespace varalign::config
