#include "telemetry/process_stats.h"

#include <unistd.h>

#include <iterator>
#include <string>
#include <string_view>
#include <system_error>
#include <vector>

#include "absl/strings/numbers.h"
#include "absl/strings/str_split.h"
#include "base/file.h"
#include "base/string_view.h"

namespace varalign::telemetry {
namespace {

namespace fs = std::filesystem;

std::string ReadOrEmpty(const fs::path& path) {
  return base::ReadFile(path, 1 << 20).value_or("");
}

double Number(absl::string_view text) {
  double value = 0;
  return absl::SimpleAtod(text, &value) ? value : 0;
}

// The fields of /proc/PID/stat from the third on, which are numbered in
// proc(5) from 1; the second, the program's name, may hold spaces and ')'.
class StatFields {
 public:
  explicit StatFields(std::string_view stat) {
    const size_t name_end = stat.rfind(')');
    if (name_end == std::string_view::npos) return;
    fields_ = absl::StrSplit(base::ToAbsl(stat.substr(name_end + 1)), ' ',
                             absl::SkipEmpty());
  }

  double operator[](size_t number) const {
    return number - 3 < fields_.size() ? Number(fields_[number - 3]) : 0;
  }

 private:
  std::vector<std::string> fields_;
};

// The number after `key` in "key   number ..." lines.
double ValueOfLine(std::string_view text, std::string_view key) {
  for (const absl::string_view line :
       absl::StrSplit(base::ToAbsl(text), '\n')) {
    if (!base::ToStd(line).starts_with(key)) continue;
    const std::vector<std::string> words =
        absl::StrSplit(line.substr(key.size()), ' ', absl::SkipEmpty());
    return words.empty() ? 0 : Number(words.front());
  }
  return 0;
}

double CountEntries(const fs::path& directory) {
  std::error_code error;
  const fs::directory_iterator entries(directory, error);
  return error
             ? 0
             : static_cast<double>(std::distance(begin(entries), end(entries)));
}

}  // namespace

ProcessStats ReadProcessStats(const fs::path& proc) {
  const StatFields stat(ReadOrEmpty(proc / "self" / "stat"));
  const double ticks = static_cast<double>(sysconf(_SC_CLK_TCK));
  const double page = static_cast<double>(sysconf(_SC_PAGESIZE));
  const double boot = ValueOfLine(ReadOrEmpty(proc / "stat"), "btime ");

  ProcessStats stats;
  stats.cpu_seconds = (stat[14] + stat[15]) / ticks;
  stats.threads = stat[20];
  stats.start_time_seconds = boot + stat[22] / ticks;
  stats.virtual_bytes = stat[23];
  stats.resident_bytes = stat[24] * page;
  stats.open_fds = CountEntries(proc / "self" / "fd");
  stats.max_fds =
      ValueOfLine(ReadOrEmpty(proc / "self" / "limits"), "Max open files ");
  return stats;
}

}  // namespace varalign::telemetry
