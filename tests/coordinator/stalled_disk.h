// A disk that lets no commit come to an end.
#ifndef VARALIGN_TESTS_COORDINATOR_STALLED_DISK_H_
#define VARALIGN_TESTS_COORDINATOR_STALLED_DISK_H_

#include <filesystem>
#include <memory>

#include "base/database_connection.h"
#include "tests/testing/status_matchers.h"

namespace varalign::coordinator {

// Commits to the database wait for as long as it lives; they fail after the 5 s
// that RunDatabase has for a lock.
class StalledDisk {
 public:
  explicit StalledDisk(const std::filesystem::path& database)
      : lock_(base::DatabaseConnection::Open("a database", database).value()) {
    EXPECT_OK(lock_->Execute("BEGIN IMMEDIATE"));
  }
  ~StalledDisk() { EXPECT_OK(lock_->Execute("ROLLBACK")); }

 private:
  const std::unique_ptr<base::DatabaseConnection> lock_;
};

}  // namespace varalign::coordinator

#endif  // VARALIGN_TESTS_COORDINATOR_STALLED_DISK_H_
