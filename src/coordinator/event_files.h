// events.jsonl and metrics.jsonl of a run directory, and its model link. They
// follow the database: what a crash kept from them is added at the next start,
// so each event is there exactly once.
#ifndef VARALIGN_COORDINATOR_EVENT_FILES_H_
#define VARALIGN_COORDINATOR_EVENT_FILES_H_

#include <cstdint>
#include <filesystem>
#include <map>
#include <set>
#include <string>
#include <thread>

#include "absl/base/thread_annotations.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/synchronization/mutex.h"
#include "absl/time/time.h"
#include "coordinator/run_database.h"

namespace varalign::coordinator {

// Owns a thread, so that a slow file system of runs holds up nobody. A file
// that cannot be written is logged once per run and tried again with the next
// event: it never stops a run. Thread safe.
class EventFiles {
 public:
  // `database` outlives this object. Starts with the runs of before.
  explicit EventFiles(const RunDatabase& database);
  EventFiles(const EventFiles&) = delete;
  EventFiles& operator=(const EventFiles&) = delete;
  // Writes what is due.
  ~EventFiles();

  // The run has new events in the database. Never blocks.
  void Follow(const std::string& run_id);

  // Waits until all events of the run up to `number` are in its files; false
  // after `timeout`.
  bool AwaitWritten(const std::string& run_id, uint64_t number,
                    absl::Duration timeout);

 private:
  void Run();
  void FollowRecentRuns();
  absl::StatusOr<uint64_t> CatchUp(const std::string& run_id);
  bool HasWork() const ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_) {
    return stopping_ || !due_.empty();
  }

  const RunDatabase& database_;

  // The thread's own.
  std::map<std::string, uint64_t> last_numbers_;  // in the files, by run
  std::set<std::string> broken_;                  // runs that were logged

  absl::Mutex mutex_;
  std::set<std::string> due_ ABSL_GUARDED_BY(mutex_);
  std::map<std::string, uint64_t> written_ ABSL_GUARDED_BY(mutex_);
  bool stopping_ ABSL_GUARDED_BY(mutex_) = false;

  std::thread thread_;
};

}  // namespace varalign::coordinator

#endif  // VARALIGN_COORDINATOR_EVENT_FILES_H_
