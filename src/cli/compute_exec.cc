#include "cli/compute_exec.h"

#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <filesystem>
#include <string_view>
#include <vector>

#include "base/file.h"
#include "base/subprocess.h"

namespace varalign::cli {
namespace {

// bin/varalign -> libexec/varalign/varalign-compute.
std::filesystem::path ComputeProgram() {
  return base::ExecutableDirectory().parent_path() / "libexec" / "varalign" /
         "varalign-compute";
}

}  // namespace

bool NeedsCompute(std::span<char* const> argv) {
  if (argv.size() < 2) return false;
  const std::string_view verb = argv[1];
  if (verb == "world") return true;
  if (verb != "score" && verb != "generate" && verb != "eval" &&
      verb != "plan") {
    return false;
  }
  return std::none_of(argv.begin() + 2, argv.end(), [](std::string_view word) {
    return word == "--server" || word.starts_with("--server=") ||
           word == "--help" || word == "-h";
  });
}

absl::Status ExecCompute(std::span<char* const> argv) {
  const std::filesystem::path program = ComputeProgram();
  std::vector<char*> arguments(argv.begin(), argv.end());
  arguments.push_back(nullptr);
  execv(program.c_str(), arguments.data());
  return base::ErrnoStatus(errno, "exec", program);
}

}  // namespace varalign::cli
