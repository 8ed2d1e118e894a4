// Commands as text that people can paste.
#ifndef VARALIGN_CLI_COMMAND_TEXT_H_
#define VARALIGN_CLI_COMMAND_TEXT_H_

#include <filesystem>
#include <string>
#include <vector>

namespace varalign::cli {

// The words behind the path of this program, quoted for a POSIX shell where
// that is needed: "build/bin/varalign train run.yaml --out 'runs/a b'".
std::string CommandText(const std::vector<std::string>& words);

// `path` as it is shortest from the working directory: relative below it, else
// absolute.
std::string PathText(const std::filesystem::path& path);

}  // namespace varalign::cli

#endif  // VARALIGN_CLI_COMMAND_TEXT_H_
