// Scores on disk: they outlive the server, and servers of one host share them.
// The memory in front of it is ScoreStore.
#ifndef VARALIGN_REWARD_SERVER_SCORE_FILE_H_
#define VARALIGN_REWARD_SERVER_SCORE_FILE_H_

#include <cstdint>
#include <filesystem>
#include <memory>
#include <span>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/synchronization/mutex.h"
#include "base/clock.h"
#include "base/database_connection.h"
#include "reward_server/score_key.h"

namespace varalign::reward_server {

struct StoredScore {
  ScoreKey key;
  double value = 0;
};

// One SQLite file in WAL mode, which needs a local file system. A key names
// model, way of computing and ids, so that any server may read what any other
// wrote. A value that does not fit its checksum is dropped and not returned. A
// file that is damaged as a whole is moved to FILE.damaged, in place of an
// older one, and begun anew: nothing but time is lost. Thread safe; calls wait
// for one another and for the disk.
class ScoreFile {
 public:
  struct Options {
    std::filesystem::path path;
    // The scores that were not asked for longest leave beyond it.
    uint64_t max_bytes = uint64_t{8} << 30;
  };

  // FailedPrecondition: of another version of the program, or no file of
  // scores. Others as base::DatabaseConnection. `clock` outlives the file.
  static absl::StatusOr<std::unique_ptr<ScoreFile>> Open(
      const Options& options, const base::Clock& clock);
  ScoreFile(const ScoreFile&) = delete;

  // What there is of `keys`, in any order. Counts as use, to the hour.
  absl::StatusOr<std::vector<StoredScore>> Find(std::span<const ScoreKey> keys);

  // All or none; a key that is there keeps its value.
  absl::Status Insert(std::span<const StoredScore> scores);

  // Values and files found damaged since Open.
  uint64_t num_damaged() const;

 private:
  ScoreFile(const Options& options, const base::Clock& clock)
      : options_(options), clock_(clock) {}

  absl::Status OpenDatabase() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  absl::Status CreateOrCheckSchema() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  // Begins anew where `status` says that the file is damaged; else it is
  // returned.
  absl::Status Recover(const absl::Status& status)
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  absl::Status FindSome(std::span<const ScoreKey> keys,
                        std::vector<StoredScore>& found)
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  absl::Status InsertAll(std::span<const StoredScore> scores)
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  absl::Status EvictOldest() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  int64_t Now() const;

  const Options options_;
  const base::Clock& clock_;
  mutable absl::Mutex mutex_;
  std::unique_ptr<base::DatabaseConnection> database_ ABSL_GUARDED_BY(mutex_);
  uint64_t num_damaged_ ABSL_GUARDED_BY(mutex_) = 0;
};

}  // namespace varalign::reward_server

#endif  // VARALIGN_REWARD_SERVER_SCORE_FILE_H_
