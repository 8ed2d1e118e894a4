#include "base/database_connection.h"

#include <sqlite3.h>

#include <limits>

#include "absl/strings/str_cat.h"
#include "base/string_view.h"

namespace varalign::base {
namespace {

constexpr int kBusyTimeoutMs = 5000;

absl::StatusCode CodeFor(int result) {
  switch (result & 0xff) {  // without the extended part
    case SQLITE_FULL:
      return absl::StatusCode::kResourceExhausted;
    case SQLITE_READONLY:
    case SQLITE_PERM:
    case SQLITE_CANTOPEN:
    case SQLITE_AUTH:
      return absl::StatusCode::kPermissionDenied;
    case SQLITE_CORRUPT:
    case SQLITE_NOTADB:
      return absl::StatusCode::kDataLoss;
    case SQLITE_CONSTRAINT:
    case SQLITE_MISUSE:
    case SQLITE_ERROR:
      return absl::StatusCode::kInternal;
    default:
      return absl::StatusCode::kUnavailable;
  }
}

}  // namespace

uint64_t DatabaseRow::Unsigned() {
  return static_cast<uint64_t>(sqlite3_column_int64(statement_, next_++));
}

int DatabaseRow::Int() { return sqlite3_column_int(statement_, next_++); }

double DatabaseRow::Double() {
  const int column = next_++;
  return sqlite3_column_type(statement_, column) == SQLITE_NULL
             ? std::numeric_limits<double>::quiet_NaN()
             : sqlite3_column_double(statement_, column);
}

std::string DatabaseRow::Text() {
  const int column = next_++;
  const void* bytes = sqlite3_column_blob(statement_, column);
  const int size = sqlite3_column_bytes(statement_, column);
  if (size == 0) return "";
  return std::string(static_cast<const char*>(bytes),
                     static_cast<size_t>(size));
}

DatabaseStatement::~DatabaseStatement() { sqlite3_finalize(statement_); }

void DatabaseStatement::Bind(int index, uint64_t value) {
  sqlite3_bind_int64(statement_, index, static_cast<sqlite3_int64>(value));
}

void DatabaseStatement::Bind(int index, int value) {
  sqlite3_bind_int64(statement_, index, value);
}

void DatabaseStatement::Bind(int index, bool value) {
  sqlite3_bind_int64(statement_, index, value ? 1 : 0);
}

void DatabaseStatement::Bind(int index, double value) {
  sqlite3_bind_double(statement_, index, value);
}

void DatabaseStatement::Bind(int index, const std::string& value) {
  sqlite3_bind_text64(statement_, index, value.data(), value.size(),
                      SQLITE_STATIC, SQLITE_UTF8);
}

void DatabaseStatement::Bind(int index, Blob value) {
  sqlite3_bind_blob64(statement_, index, value.bytes.data(), value.bytes.size(),
                      SQLITE_STATIC);
}

void DatabaseStatement::Bind(int index, std::span<const Blob> values) {
  for (const Blob value : values) Bind(index++, value);
}

absl::StatusOr<std::unique_ptr<DatabaseConnection>> DatabaseConnection::Open(
    std::string_view what, const std::filesystem::path& path) {
  auto connection =
      std::unique_ptr<DatabaseConnection>(new DatabaseConnection(what, path));
  const int flags =  // no mutex but ours
      SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE | SQLITE_OPEN_NOMUTEX;
  const int result =
      sqlite3_open_v2(path.c_str(), &connection->handle_, flags, nullptr);
  if (result != SQLITE_OK) return connection->Error(result, "open");
  sqlite3_extended_result_codes(connection->handle_, 1);
  sqlite3_busy_timeout(connection->handle_, kBusyTimeoutMs);
  RETURN_IF_ERROR(connection->Execute(
      "PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL;"));
  return connection;
}

DatabaseConnection::~DatabaseConnection() { sqlite3_close(handle_); }

absl::Status DatabaseConnection::Execute(const std::string& sql) const {
  absl::MutexLock lock(&mutex_);
  const int result =
      sqlite3_exec(handle_, sql.c_str(), nullptr, nullptr, nullptr);
  return result == SQLITE_OK ? absl::OkStatus() : Error(result, "execute");
}

absl::StatusOr<std::unique_ptr<DatabaseStatement>> DatabaseConnection::Prepare(
    const std::string& sql) const {
  sqlite3_stmt* statement = nullptr;
  const int result =
      sqlite3_prepare_v2(handle_, sql.c_str(), -1, &statement, nullptr);
  if (result != SQLITE_OK) return Error(result, "prepare");
  return std::make_unique<DatabaseStatement>(statement);
}

absl::StatusOr<bool> DatabaseConnection::Step(
    const DatabaseStatement& statement) const {
  const int result = sqlite3_step(statement.get());
  if (result == SQLITE_ROW) return true;
  if (result == SQLITE_DONE) return false;
  return Error(result, "step");
}

absl::Status DatabaseConnection::Error(int result,
                                       std::string_view operation) const {
  return absl::Status(
      CodeFor(result),
      absl::StrCat(what_, ": ", ToAbsl(operation), ": ",
                   handle_ ? sqlite3_errmsg(handle_) : "out of memory", ": ",
                   path_.string()));
}

}  // namespace varalign::base
