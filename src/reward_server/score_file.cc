#include "reward_server/score_file.h"

#include <algorithm>
#include <string>
#include <string_view>
#include <system_error>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/time/time.h"
#include "base/digest.h"
#include "base/logging.h"
#include "base/status_macros.h"

namespace varalign::reward_server {
namespace {

using base::Blob;
using base::DatabaseRow;

constexpr int kFormat = 1;
constexpr int kApplication = 0x76617363;  // "vasc"
constexpr char kSchema[] =
    "CREATE TABLE scores (key BLOB PRIMARY KEY, value REAL NOT NULL, "
    "digest TEXT NOT NULL, used INTEGER NOT NULL) WITHOUT ROWID;"
    "CREATE INDEX scores_by_use ON scores (used)";
// Keys of one query; SQLite takes 32766 arguments.
constexpr size_t kKeysAtOnce = 512;
constexpr int64_t kUseGranularity = 3600;  // seconds
// Leaves so soon as there are too many bytes.
constexpr int kEvictedShare = 10;  // one in so many

std::string_view Bytes(const ScoreKey& key) {
  return {key.bytes.data(), key.bytes.size()};
}

// Of key and value: a value that strayed to another key does not fit either.
std::string Digest(std::string_view key, double value) {
  std::string bytes(key);
  bytes.append(reinterpret_cast<const char*>(&value), sizeof(value));
  return base::Xxh3(bytes).substr(0, 16);
}

std::string Placeholders(size_t count) {
  std::string text = "?";
  for (size_t i = 1; i < count; ++i) text += ",?";
  return text;
}

// What stands beside a database in WAL mode.
void RemoveSideFiles(const std::filesystem::path& path) {
  std::error_code ignored;
  for (const char* suffix : {"-wal", "-shm"}) {
    std::filesystem::remove(path.string() + suffix, ignored);
  }
}

}  // namespace

absl::StatusOr<std::unique_ptr<ScoreFile>> ScoreFile::Open(
    const Options& options, const base::Clock& clock) {
  auto file = std::unique_ptr<ScoreFile>(new ScoreFile(options, clock));
  absl::MutexLock lock(&file->mutex_);
  const absl::Status opened = file->OpenDatabase();
  if (!opened.ok()) RETURN_IF_ERROR(file->Recover(opened));
  return file;
}

absl::Status ScoreFile::OpenDatabase() {
  ASSIGN_OR_RETURN(
      database_, base::DatabaseConnection::Open("score store", options_.path));
  // A score that is lost with the machine is computed again.
  RETURN_IF_ERROR(database_->Execute("PRAGMA synchronous = NORMAL"));
  return CreateOrCheckSchema();
}

absl::Status ScoreFile::CreateOrCheckSchema() {
  // One process makes it, the others find it made.
  RETURN_IF_ERROR(database_->Execute("BEGIN IMMEDIATE"));
  int application = 0, format = 0;
  uint64_t tables = 0;
  RETURN_IF_ERROR(
      database_->Query("PRAGMA application_id",
                       [&](DatabaseRow row) { application = row.Int(); }));
  RETURN_IF_ERROR(database_->Query(
      "PRAGMA user_version", [&](DatabaseRow row) { format = row.Int(); }));
  RETURN_IF_ERROR(
      database_->Query("SELECT COUNT(*) FROM sqlite_schema",
                       [&](DatabaseRow row) { tables = row.Unsigned(); }));
  if (tables == 0) {
    RETURN_IF_ERROR(database_->Execute(
        absl::StrCat(kSchema, "; PRAGMA application_id = ", kApplication,
                     "; PRAGMA user_version = ", kFormat)));
  } else if (application != kApplication || format != kFormat) {
    return absl::FailedPreconditionError(absl::StrCat(
        "score store: the file is not one of scores, or of another version; "
        "name another file, or remove it: ",
        options_.path.string()));
  }
  return database_->Execute("COMMIT");
}

absl::Status ScoreFile::Recover(const absl::Status& status) {
  if (!absl::IsDataLoss(status)) return status;
  database_.reset();
  ++num_damaged_;
  const std::filesystem::path aside = options_.path.string() + ".damaged";
  std::error_code error;
  std::filesystem::rename(options_.path, aside, error);
  if (error) return status;
  RemoveSideFiles(options_.path);
  base::LogWarning("the score store was damaged and is begun anew",
                   {{"moved_to", aside.string()},
                    {"reason", std::string(status.message())}});
  return OpenDatabase();
}

absl::StatusOr<std::vector<StoredScore>> ScoreFile::Find(
    std::span<const ScoreKey> keys) {
  absl::MutexLock lock(&mutex_);
  std::vector<StoredScore> found;
  if (database_ == nullptr) RETURN_IF_ERROR(OpenDatabase());
  for (size_t begin = 0; begin < keys.size(); begin += kKeysAtOnce) {
    const size_t count = std::min(kKeysAtOnce, keys.size() - begin);
    const absl::Status status = FindSome(keys.subspan(begin, count), found);
    // What was read before was read well.
    if (!status.ok()) RETURN_IF_ERROR(Recover(status));
  }
  return found;
}

absl::Status ScoreFile::FindSome(std::span<const ScoreKey> keys,
                                 std::vector<StoredScore>& found) {
  std::vector<Blob> blobs;
  for (const ScoreKey& key : keys) blobs.push_back({Bytes(key)});
  const std::string in = Placeholders(keys.size());
  const int64_t stale = Now() - kUseGranularity;
  std::vector<std::string> damaged, used;
  RETURN_IF_ERROR(database_->Query(
      absl::StrCat("SELECT key, value, digest, used FROM scores WHERE key IN (",
                   in, ")"),
      [&](DatabaseRow row) {
        std::string key = row.Text();
        StoredScore score{.key = {}, .value = row.Double()};
        const bool fits = key.size() == score.key.bytes.size() &&
                          row.Text() == Digest(key, score.value);
        if (!fits) return damaged.push_back(std::move(key));
        std::copy(key.begin(), key.end(), score.key.bytes.begin());
        found.push_back(score);
        if (static_cast<int64_t>(row.Unsigned()) < stale) {
          used.push_back(std::move(key));
        }
      },
      std::span<const Blob>(blobs)));
  num_damaged_ += damaged.size();
  for (const std::string& key : damaged) {
    RETURN_IF_ERROR(
        database_->Run("DELETE FROM scores WHERE key = ?1", Blob{key}));
  }
  if (used.empty()) return absl::OkStatus();
  blobs.clear();
  for (const std::string& key : used) blobs.push_back({key});
  return database_->Run(
      absl::StrCat("UPDATE scores SET used = ", Now(), " WHERE key IN (",
                   Placeholders(used.size()), ")"),
      std::span<const Blob>(blobs));
}

absl::Status ScoreFile::Insert(std::span<const StoredScore> scores) {
  absl::MutexLock lock(&mutex_);
  if (scores.empty()) return absl::OkStatus();
  if (database_ == nullptr) RETURN_IF_ERROR(OpenDatabase());
  absl::Status status = InsertAll(scores);
  if (status.ok()) return EvictOldest();
  if (!absl::IsDataLoss(status)) {
    database_->Execute("ROLLBACK").IgnoreError();  // none may be open
    return status;
  }
  RETURN_IF_ERROR(Recover(status));
  return InsertAll(scores);
}

absl::Status ScoreFile::InsertAll(std::span<const StoredScore> scores) {
  RETURN_IF_ERROR(database_->Execute("BEGIN IMMEDIATE"));
  const auto now = static_cast<uint64_t>(Now());
  for (const StoredScore& score : scores) {
    RETURN_IF_ERROR(database_->Run(
        "INSERT INTO scores VALUES (?1, ?2, ?3, ?4) ON CONFLICT DO NOTHING",
        Blob{Bytes(score.key)}, score.value,
        Digest(Bytes(score.key), score.value), now));
  }
  return database_->Execute("COMMIT");
}

absl::Status ScoreFile::EvictOldest() {
  uint64_t pages = 0, free_pages = 0, page_bytes = 0;
  const auto read = [&](const char* pragma, uint64_t& value) {
    return database_->Query(pragma,
                            [&](DatabaseRow row) { value = row.Unsigned(); });
  };
  RETURN_IF_ERROR(read("PRAGMA page_count", pages));
  RETURN_IF_ERROR(read("PRAGMA freelist_count", free_pages));
  RETURN_IF_ERROR(read("PRAGMA page_size", page_bytes));
  if ((pages - free_pages) * page_bytes <= options_.max_bytes) {
    return absl::OkStatus();
  }
  return database_->Execute(absl::StrCat(
      "DELETE FROM scores WHERE key IN (SELECT key FROM scores ORDER BY used "
      "LIMIT 1 + (SELECT COUNT(*) FROM scores) / ",
      kEvictedShare, ")"));
}

uint64_t ScoreFile::num_damaged() const {
  absl::MutexLock lock(&mutex_);
  return num_damaged_;
}

int64_t ScoreFile::Now() const { return absl::ToUnixSeconds(clock_.WallNow()); }

}  // namespace varalign::reward_server
