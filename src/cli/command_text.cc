#include "cli/command_text.h"

#include <algorithm>
#include <system_error>

#include "absl/strings/ascii.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_replace.h"
#include "absl/strings/string_view.h"
#include "base/subprocess.h"

namespace varalign::cli {
namespace {

namespace fs = std::filesystem;

std::string Quoted(const std::string& word) {
  const bool is_plain =
      !word.empty() && std::all_of(word.begin(), word.end(), [](char c) {
        return absl::ascii_isalnum(static_cast<unsigned char>(c)) ||
               absl::string_view("-_./=:,@%+").find(c) !=
                   absl::string_view::npos;
      });
  if (is_plain) return word;
  return absl::StrCat("'", absl::StrReplaceAll(word, {{"'", "'\\''"}}), "'");
}

// A name without a directory would be looked for in PATH.
std::string ThisProgram() {
  const std::string path = PathText(base::ExecutableDirectory() / "varalign");
  return path.find('/') == std::string::npos ? absl::StrCat("./", path) : path;
}

}  // namespace

std::string PathText(const fs::path& path) {
  std::error_code ignored;
  const fs::path absolute = fs::absolute(path, ignored).lexically_normal();
  const fs::path relative =
      absolute.lexically_relative(fs::current_path(ignored));
  const bool is_below = !relative.empty() && *relative.begin() != "..";
  return (is_below ? relative : absolute).string();
}

std::string CommandText(const std::vector<std::string>& words) {
  std::string command = Quoted(ThisProgram());
  for (const std::string& word : words) {
    absl::StrAppend(&command, " ", Quoted(word));
  }
  return command;
}

}  // namespace varalign::cli
