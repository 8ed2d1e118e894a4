#include "coordinator/run_database.h"

#include <random>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "base/database_connection.h"
#include "base/status_macros.h"
#include "coordinator/run_database_schema.h"

namespace varalign::coordinator {
namespace {

constexpr char kWhat[] = "coordinator database";

std::string RandomId() {
  std::random_device random;
  return absl::StrFormat("%08x%08x", random(), random());
}

absl::Status CreateSchema(const base::DatabaseConnection& writer) {
  RETURN_IF_ERROR(writer.Execute("BEGIN IMMEDIATE"));
  RETURN_IF_ERROR(writer.Execute(kSchema));
  RETURN_IF_ERROR(
      writer.Run("INSERT INTO coordinator VALUES (?1, 0)", RandomId()));
  return writer.Execute(
      absl::StrCat("PRAGMA user_version = ", kSchemaVersion, "; COMMIT"));
}

}  // namespace

RunDatabase::RunDatabase(std::unique_ptr<base::DatabaseConnection> writer,
                         std::unique_ptr<base::DatabaseConnection> reader,
                         std::string id)
    : writer_(std::move(writer)),
      reader_(std::move(reader)),
      id_(std::move(id)) {}

RunDatabase::~RunDatabase() = default;

absl::StatusOr<std::unique_ptr<RunDatabase>> RunDatabase::Open(
    const std::filesystem::path& path) {
  ASSIGN_OR_RETURN(auto writer, base::DatabaseConnection::Open(kWhat, path));
  int version = 0;
  RETURN_IF_ERROR(
      writer->Query("PRAGMA user_version",
                    [&](base::DatabaseRow row) { version = row.Int(); }));
  if (version == 0) {
    RETURN_IF_ERROR(CreateSchema(*writer));
  } else if (version != kSchemaVersion) {
    return absl::FailedPreconditionError(absl::StrCat(
        "the coordinator's database has another format: use the version that "
        "made it, or another --state directory; expected ",
        kSchemaVersion, ", found ", version, ": ", path.string()));
  }
  std::string id;
  RETURN_IF_ERROR(
      writer->Query("SELECT id FROM coordinator",
                    [&](base::DatabaseRow row) { id = row.Text(); }));
  ASSIGN_OR_RETURN(auto reader, base::DatabaseConnection::Open(kWhat, path));
  return std::unique_ptr<RunDatabase>(
      new RunDatabase(std::move(writer), std::move(reader), std::move(id)));
}

}  // namespace varalign::coordinator
