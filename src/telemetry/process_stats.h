// What the kernel knows about a process, from procfs.
#ifndef VARALIGN_TELEMETRY_PROCESS_STATS_H_
#define VARALIGN_TELEMETRY_PROCESS_STATS_H_

#include <filesystem>

namespace varalign::telemetry {

struct ProcessStats {
  double cpu_seconds = 0;  // user and system, all threads
  double resident_bytes = 0;
  double virtual_bytes = 0;
  double open_fds = 0;
  double max_fds = 0;
  double threads = 0;
  double start_time_seconds = 0;  // since the Unix epoch
};

// Reads `proc`/self and `proc`/stat. What cannot be read stays 0: a missing
// number must not end a scrape.
ProcessStats ReadProcessStats(const std::filesystem::path& proc = "/proc");

}  // namespace varalign::telemetry

#endif  // VARALIGN_TELEMETRY_PROCESS_STATS_H_
