#include "tests/cli/verb_run.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <sstream>

namespace varalign::cli {

VerbRun RunVerb(const std::function<void(CLI::App&, Action&)>& add,
                std::vector<std::string> words) {
  CLI::App app("test", "varalign");
  Action action;
  add(app, action);
  std::reverse(words.begin(), words.end());  // as CLI11 takes them
  VerbRun run;
  try {
    app.parse(words);
  } catch (const CLI::ParseError& error) {
    run.status = absl::InvalidArgumentError(error.what());
    run.code = base::kExitUsage;
    return run;
  }
  ::testing::internal::CaptureStdout();
  ::testing::internal::CaptureStderr();
  run.status = action();
  run.out = ::testing::internal::GetCapturedStdout();
  run.err = ::testing::internal::GetCapturedStderr();
  run.code = base::ExitCodeFor(run.status);
  return run;
}

std::vector<base::Json> JsonLines(const std::string& text) {
  std::vector<base::Json> lines;
  std::istringstream stream(text);
  for (std::string line; std::getline(stream, line);) {
    lines.push_back(base::ParseJson(line).value());
  }
  return lines;
}

}  // namespace varalign::cli
