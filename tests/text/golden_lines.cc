#include "tests/text/golden_lines.h"

#include <zlib.h>

#include <cstdio>
#include <cstdlib>
#include <string_view>

namespace varalign::text {
namespace {

[[noreturn]] void Die(const std::filesystem::path& path, const char* why) {
  std::fprintf(stderr, "%s: %s\n", path.c_str(), why);
  std::abort();
}

}  // namespace

std::string ReadGzip(const std::filesystem::path& path) {
  gzFile file = gzopen(path.c_str(), "rb");
  if (file == nullptr) Die(path, "cannot open");
  std::string text;
  char buffer[1 << 16];
  int size = 0;
  while ((size = gzread(file, buffer, sizeof buffer)) > 0) {
    text.append(buffer, static_cast<size_t>(size));
  }
  if (gzclose(file) != Z_OK || size < 0) Die(path, "is damaged");
  return text;
}

std::vector<base::Json> ReadGoldenLines(const std::filesystem::path& path) {
  const std::string text = ReadGzip(path);
  std::vector<base::Json> lines;
  for (size_t at = 0; at < text.size();) {
    const size_t end = text.find('\n', at);
    const std::string_view line = std::string_view(text).substr(at, end - at);
    absl::StatusOr<base::Json> value = base::ParseJson(line);
    if (!value.ok()) Die(path, value.status().ToString().c_str());
    lines.push_back(*std::move(value));
    at += line.size() + 1;
  }
  return lines;
}

}  // namespace varalign::text
