#include "cli/model_place.h"

#include <algorithm>
#include <system_error>
#include <vector>

#include "absl/strings/str_cat.h"
#include "config/nearest.h"

namespace varalign::cli {
namespace {

namespace fs = std::filesystem;

// Entries that one search looks at: the directory may be anything.
constexpr size_t kMaxEntries = 1000;

bool Holds(const fs::path& directory, const char* file) {
  std::error_code ignored;
  return fs::exists(directory / file, ignored);
}

// In the order of their names; `budget` is what may still be looked at.
std::vector<fs::path> DirectoriesIn(const fs::path& directory, size_t& budget) {
  std::vector<fs::path> found;
  std::error_code error;
  for (fs::directory_iterator at(directory, error), end;
       !error && at != end && budget > 0; at.increment(error), --budget) {
    std::error_code ignored;
    if (at->is_directory(ignored)) found.push_back(at->path());
  }
  std::sort(found.begin(), found.end());
  return found;
}

// A run has model/ (and the newest checkpoint's behind it), a download may have
// the model one or two levels below. Empty: nothing there.
fs::path ModelBelow(const fs::path& directory) {
  size_t budget = kMaxEntries;
  std::vector<fs::path> level = {directory};
  for (int depth = 0; depth < 2; ++depth) {
    std::vector<fs::path> next;
    for (const fs::path& above : level) {
      if (Holds(above / "model", "config.json")) return above / "model";
    }
    for (const fs::path& above : level) {
      for (fs::path& below : DirectoriesIn(above, budget)) {
        if (Holds(below, "config.json")) return below;
        next.push_back(std::move(below));
      }
    }
    level = std::move(next);
  }
  return {};
}

// Of a directory that does not exist.
fs::path ModelWithNearlyThatName(const fs::path& directory) {
  std::vector<std::string> names;
  const fs::path above =
      directory.has_parent_path() ? directory.parent_path() : ".";
  size_t budget = kMaxEntries;
  for (const fs::path& beside : DirectoriesIn(above, budget)) {
    names.push_back(beside.filename().string());
  }
  const std::string name =
      config::Nearest(directory.filename().string(), names);
  if (name.empty()) return {};
  const fs::path meant = directory.parent_path() / name;
  return Holds(meant, "config.json") ? meant : ModelBelow(meant);
}

}  // namespace

std::string NearbyModel(const fs::path& directory) {
  fs::path path = directory;
  if (path.filename().empty()) path = path.parent_path();  // of "a/"
  std::error_code ignored;
  const fs::path meant = fs::exists(path, ignored)
                             ? ModelBelow(path)
                             : ModelWithNearlyThatName(path);
  return meant.empty() ? ""
                       : absl::StrCat("; did you mean ", meant.string(), "?");
}

absl::Status CheckModelDirectory(const std::string& option,
                                 const fs::path& directory) {
  if (Holds(directory, "config.json") || Holds(directory, "tokenizer.json")) {
    return absl::OkStatus();
  }
  std::error_code ignored;
  const char* why = !fs::exists(directory, ignored) ? "it does not exist"
                    : !fs::is_directory(directory, ignored)
                        ? "it is no directory"
                        : "it has no config.json and no tokenizer.json";
  return absl::NotFoundError(
      absl::StrCat(option, ": no Hugging Face model directory, ", why, ": ",
                   directory.string(), NearbyModel(directory)));
}

}  // namespace varalign::cli
