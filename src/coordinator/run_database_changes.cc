// What RunDatabase is told.
#include <variant>

#include "base/database_connection.h"
#include "base/status_macros.h"
#include "coordinator/run_database.h"

namespace varalign::coordinator {
namespace {

using base::Blob;
using base::DatabaseConnection;

// Writes one change.
struct ChangeWriter {
  const DatabaseConnection& db;

  absl::Status operator()(const PutRun& put) const {
    const RunRecord& record = put.record;
    const std::string run = record.run.SerializeAsString();
    return db.Run(
        "INSERT INTO runs VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10) "
        "ON CONFLICT (run_id) DO UPDATE SET number = ?2, state = ?3, "
        "incarnation = ?4, generation = ?5, num_events = ?6, "
        "cancel_requested = ?7, group_has_ended = ?8, "
        "lease_validity_ms = ?9, run = ?10",
        record.run.run_id(), record.number,
        static_cast<int>(record.run.state()), record.token.incarnation,
        record.token.generation, record.num_events, record.cancel_requested,
        record.group_has_ended,
        static_cast<uint64_t>(absl::ToInt64Milliseconds(record.lease_validity)),
        Blob{run});
  }
  absl::Status operator()(const PutRequest& put) const {
    return db.Run("INSERT INTO requests VALUES (?1, ?2, ?3)", put.request_id,
                  put.digest, put.run_id);
  }
  absl::Status operator()(const AddEvent& add) const {
    const std::string event = add.event.SerializeAsString();
    return db.Run("INSERT INTO events VALUES (?1, ?2, ?3)", add.run_id,
                  uint64_t{add.event.number()}, Blob{event});
  }
  absl::Status operator()(const AddLedgerRow& add) const {
    const LedgerRow& row = add.row;
    return db.Run(
        "INSERT INTO ledger VALUES "
        "(?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11)",
        add.run_id, row.step, row.generation, row.epoch, row.block_begin,
        row.block_end, row.examples, row.rows, row.tokens, row.skipped,
        row.loss);
  }
  absl::Status operator()(const AddGeneration& add) const {
    RETURN_IF_ERROR(
        db.Run("INSERT INTO generations VALUES (?1, ?2, ?3, ?4, ?5)",
               add.run_id, add.start.generation, add.start.incarnation,
               add.start.start_step, uint64_t{add.start.world_size}));
    return db.Run("DELETE FROM store_keys WHERE run_id = ?1", add.run_id);
  }
  absl::Status operator()(const PutRank& put) const {
    const RankRecord& rank = put.rank;
    return db.Run(
        "INSERT OR REPLACE INTO ranks VALUES "
        "(?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10)",
        put.run_id, put.generation, uint64_t{rank.rank}, rank.slot_id,
        rank.host, uint64_t{rank.pid}, rank.has_left, rank.exit_code,
        rank.signal, rank.last_lines);
  }
  absl::Status operator()(const AddLease& add) const {
    return db.Run("INSERT INTO leases VALUES (?1, ?2, ?3, ?4, ?5)", add.run_id,
                  add.generation, add.lease.begin, add.lease.end,
                  static_cast<int>(add.lease.then));
  }
  absl::Status operator()(const PutCheckpoint& put) const {
    return db.Run(
        "INSERT OR REPLACE INTO checkpoints VALUES "
        "(?1, ?2, ?3, ?4, ?5)",
        put.run_id, put.generation, put.checkpoint.step,
        put.checkpoint.num_bytes, put.checkpoint.acknowledged);
  }
  absl::Status operator()(const PutStoreKey& put) const {
    return db.Run("INSERT OR REPLACE INTO store_keys VALUES (?1, ?2, ?3, ?4)",
                  put.run_id, put.generation, put.key, Blob{put.value});
  }
  absl::Status operator()(const MarkGroupEnded& mark) const {
    return db.Run(
        "UPDATE runs SET group_has_ended = 1 WHERE run_id = ?1 AND "
        "generation = ?2",
        mark.run_id, mark.generation);
  }
};

}  // namespace

absl::Status RunDatabase::Apply(const Changes& changes) {
  RETURN_IF_ERROR(writer_->Execute("BEGIN IMMEDIATE"));
  const ChangeWriter writer{*writer_};
  for (const Change& change : changes) {
    if (absl::Status status = std::visit(writer, change); !status.ok()) {
      writer_->Execute("ROLLBACK").IgnoreError();
      return status;
    }
  }
  return writer_->Execute("COMMIT");
}

}  // namespace varalign::coordinator
