// One SQLite connection and its statements, without SQLite's header.
#ifndef VARALIGN_BASE_DATABASE_CONNECTION_H_
#define VARALIGN_BASE_DATABASE_CONNECTION_H_

#include <cstdint>
#include <filesystem>
#include <memory>
#include <span>
#include <string>
#include <string_view>

#include "absl/base/thread_annotations.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/synchronization/mutex.h"
#include "base/status_macros.h"

struct sqlite3;
struct sqlite3_stmt;

namespace varalign::base {

// Bytes that are not text. Must outlive the statement they are bound to.
struct Blob {
  std::string_view bytes;
};

// The columns of a result, read from left to right.
class DatabaseRow {
 public:
  explicit DatabaseRow(sqlite3_stmt* statement) : statement_(statement) {}

  uint64_t Unsigned();
  int Int();
  double Double();  // NaN where it is null
  std::string Text();

 private:
  sqlite3_stmt* const statement_;
  int next_ = 0;
};

// A prepared statement; destroyed, it is finalised.
class DatabaseStatement {
 public:
  explicit DatabaseStatement(sqlite3_stmt* statement) : statement_(statement) {}
  DatabaseStatement(const DatabaseStatement&) = delete;
  DatabaseStatement& operator=(const DatabaseStatement&) = delete;
  ~DatabaseStatement();

  void Bind(int index, uint64_t value);
  void Bind(int index, int value);
  void Bind(int index, bool value);
  void Bind(int index, double value);
  void Bind(int index, const std::string& value);
  void Bind(int index, Blob value);
  // From `index` on.
  void Bind(int index, std::span<const Blob> values);

  sqlite3_stmt* get() const { return statement_; }

 private:
  sqlite3_stmt* const statement_;
};

// Serialises itself. Errors:
//   ResourceExhausted   the disk is full
//   PermissionDenied    the file cannot be opened or written
//   DataLoss            it is damaged, or no database
//   Unavailable         it is locked for long, or its disk fails
//   Internal            the statement is wrong
// One query at a time, from its
// first row to its last: SQLite keeps a connection on the snapshot of its
// oldest unfinished query, so one that began beside it would miss newer
// commits.
class DatabaseConnection {
 public:
  // `what` begins every error: "coordinator database".
  static absl::StatusOr<std::unique_ptr<DatabaseConnection>> Open(
      std::string_view what, const std::filesystem::path& path);
  DatabaseConnection(const DatabaseConnection&) = delete;
  DatabaseConnection& operator=(const DatabaseConnection&) = delete;
  ~DatabaseConnection();

  // One or more statements without arguments or results.
  absl::Status Execute(const std::string& sql) const;

  // One statement; calls take_row(DatabaseRow) for each result, which asks
  // nothing of this connection.
  template <typename TakeRow, typename... Arguments>
  absl::Status Query(const std::string& sql, TakeRow&& take_row,
                     const Arguments&... arguments) const {
    absl::MutexLock lock(&mutex_);  // outlives the statement
    ASSIGN_OR_RETURN(const std::unique_ptr<DatabaseStatement> statement,
                     Prepare(sql));
    int index = 0;
    (statement->Bind(++index, arguments), ...);
    while (true) {
      ASSIGN_OR_RETURN(const bool has_row, Step(*statement));
      if (!has_row) return absl::OkStatus();
      take_row(DatabaseRow(statement->get()));
    }
  }

  // One statement without results.
  template <typename... Arguments>
  absl::Status Run(const std::string& sql,
                   const Arguments&... arguments) const {
    return Query(sql, [](DatabaseRow) {}, arguments...);
  }

 private:
  DatabaseConnection(std::string_view what, const std::filesystem::path& path)
      : what_(what), path_(path) {}

  absl::StatusOr<std::unique_ptr<DatabaseStatement>> Prepare(
      const std::string& sql) const ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  absl::StatusOr<bool> Step(const DatabaseStatement& statement) const
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  absl::Status Error(int result, std::string_view operation) const;

  const std::string what_;
  const std::filesystem::path path_;
  mutable absl::Mutex mutex_;
  sqlite3* handle_ ABSL_PT_GUARDED_BY(mutex_) = nullptr;
};

}  // namespace varalign::base

#endif  // VARALIGN_BASE_DATABASE_CONNECTION_H_
