// The coordinator's memory: one SQLite file (WAL, synchronous FULL) with one
// writer. docs/protocol.md lists what is kept.
//
// Errors of all functions name the file:
//   ResourceExhausted   no space on the device
//   PermissionDenied    the file or its directory cannot be written
//   DataLoss            the file is damaged or no database
//   Unavailable         other I/O errors
//   Internal            a broken rule of ours (a step counted twice)
#ifndef VARALIGN_COORDINATOR_RUN_DATABASE_H_
#define VARALIGN_COORDINATOR_RUN_DATABASE_H_

#include <cstdint>
#include <filesystem>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "coordinator/changes.h"
#include "coordinator/ledger.h"
#include "varalign/v1/coordinator.pb.h"

namespace varalign::base {
class DatabaseConnection;
}

namespace varalign::coordinator {

// Start and Apply are called by one thread at a time; all others from any
// thread. Reads see what Apply has made durable, never less, never more.
class RunDatabase {
 public:
  // Creates the file if it is not there. FailedPrecondition: another version
  // of the format.
  static absl::StatusOr<std::unique_ptr<RunDatabase>> Open(
      const std::filesystem::path& path);
  RunDatabase(const RunDatabase&) = delete;
  RunDatabase& operator=(const RunDatabase&) = delete;
  ~RunDatabase();

  // Raises the incarnation and loads what has not ended. Once, before Apply.
  absl::StatusOr<StoredState> Start();

  // All changes, or none; durable when it returns. After an error the outcome
  // is unknown: stop.
  absl::Status Apply(const Changes& changes);

  // Made with the file: the owner of run directories.
  const std::string& id() const { return id_; }

  // NotFound: no such run.
  absl::StatusOr<RunRecord> Run(const std::string& run_id) const;
  // Newest first, with number < `before`; UNSPECIFIED: any state.
  absl::StatusOr<std::vector<RunRecord>> Runs(v1::RunState state,
                                              uint64_t before,
                                              uint32_t limit) const;
  absl::StatusOr<std::map<v1::RunState, uint64_t>> CountByState() const;
  absl::StatusOr<std::optional<PutRequest>> Request(
      const std::string& request_id) const;
  // In order, with number > `after`.
  absl::StatusOr<std::vector<v1::RunEvent>> Events(const std::string& run_id,
                                                   uint64_t after,
                                                   uint32_t limit) const;
  // Every row of every generation, by step and generation.
  absl::StatusOr<std::vector<LedgerRow>> Ledger(
      const std::string& run_id) const;
  // The rows that count: see ledger.h.
  absl::StatusOr<std::vector<LedgerRow>> LiveLedger(
      const std::string& run_id) const;
  absl::StatusOr<std::vector<GenerationStart>> Generations(
      const std::string& run_id) const;
  // Leases of one generation, by first step.
  absl::StatusOr<std::vector<Lease>> Leases(const std::string& run_id,
                                            uint64_t generation) const;

 private:
  RunDatabase(std::unique_ptr<base::DatabaseConnection> writer,
              std::unique_ptr<base::DatabaseConnection> reader, std::string id);

  absl::StatusOr<StoredGroup> LoadGroup(const RunRecord& record) const;

  const std::unique_ptr<base::DatabaseConnection> writer_;
  const std::unique_ptr<base::DatabaseConnection> reader_;
  const std::string id_;
};

}  // namespace varalign::coordinator

#endif  // VARALIGN_COORDINATOR_RUN_DATABASE_H_
