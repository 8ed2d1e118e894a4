// What RunDatabase tells.
#include <utility>

#include "absl/strings/str_cat.h"
#include "base/database_connection.h"
#include "base/status_macros.h"
#include "coordinator/run_database.h"

namespace varalign::coordinator {
namespace {

using base::DatabaseRow;

constexpr char kRunColumns[] =
    "SELECT number, incarnation, generation, num_events, cancel_requested, "
    "group_has_ended, lease_validity_ms, run FROM runs ";

RunRecord RunOf(DatabaseRow row) {
  RunRecord record;
  record.number = row.Unsigned();
  record.token.incarnation = row.Unsigned();
  record.token.generation = row.Unsigned();
  record.num_events = row.Unsigned();
  record.cancel_requested = row.Int() != 0;
  record.group_has_ended = row.Int() != 0;
  record.lease_validity =
      absl::Milliseconds(static_cast<int64_t>(row.Unsigned()));
  record.run.ParseFromString(row.Text());
  return record;
}

constexpr char kLedgerColumns[] =
    "SELECT step, generation, epoch, block_begin, block_end, examples, "
    "num_rows, tokens, skipped, loss FROM ledger ";
// What ledger.h calls live.
constexpr char kIsLive[] =
    " AND NOT EXISTS (SELECT 1 FROM generations WHERE generations.run_id = "
    "ledger.run_id AND generations.generation > ledger.generation AND "
    "generations.start_step <= ledger.step)";
constexpr char kByStep[] = " ORDER BY step, generation";

LedgerRow LedgerRowOf(DatabaseRow row) {
  LedgerRow result;
  result.step = row.Unsigned();
  result.generation = row.Unsigned();
  result.epoch = row.Unsigned();
  result.block_begin = row.Unsigned();
  result.block_end = row.Unsigned();
  result.examples = row.Unsigned();
  result.rows = row.Unsigned();
  result.tokens = row.Unsigned();
  result.skipped = row.Int() != 0;
  result.loss = row.Double();
  return result;
}

Lease LeaseOf(DatabaseRow row) {
  Lease lease;
  lease.begin = row.Unsigned();
  lease.end = row.Unsigned();
  lease.then = static_cast<Then>(row.Int());
  return lease;
}

constexpr char kLeaseQuery[] =
    "SELECT first_step, end_step, and_then FROM leases WHERE run_id = ?1 AND "
    "generation = ?2 ORDER BY first_step";

}  // namespace

absl::StatusOr<StoredState> RunDatabase::Start() {
  StoredState state;
  RETURN_IF_ERROR(
      writer_->Run("UPDATE coordinator SET incarnation = incarnation + 1"));
  RETURN_IF_ERROR(writer_->Query(
      "SELECT incarnation FROM coordinator",
      [&](DatabaseRow row) { state.incarnation = row.Unsigned(); }));
  RETURN_IF_ERROR(writer_->Query(
      "SELECT COALESCE(MAX(number), 0) + 1 FROM runs",
      [&](DatabaseRow row) { state.next_number = row.Unsigned(); }));
  const std::string query =
      absl::StrCat(kRunColumns, "WHERE state IN (?1, ?2, ?3) ORDER BY number");
  RETURN_IF_ERROR(writer_->Query(
      query, [&](DatabaseRow row) { state.runs.push_back(RunOf(row)); },
      int{v1::QUEUED}, int{v1::PREPARING}, int{v1::RUNNING}));
  for (const RunRecord& record : state.runs) {
    if (record.run.state() == v1::QUEUED) continue;
    ASSIGN_OR_RETURN(state.group, LoadGroup(record));
  }
  return state;
}

absl::StatusOr<StoredGroup> RunDatabase::LoadGroup(
    const RunRecord& record) const {
  const std::string& run_id = record.run.run_id();
  const uint64_t generation = record.token.generation;
  StoredGroup group;
  RETURN_IF_ERROR(reader_->Query(
      "SELECT rank, slot_id, host, pid, has_left, exit_code, signal, "
      "last_lines FROM ranks WHERE run_id = ?1 AND generation = ?2 "
      "ORDER BY rank",
      [&](DatabaseRow row) {
        RankRecord& rank = group.ranks.emplace_back();
        rank.rank = static_cast<uint32_t>(row.Unsigned());
        rank.slot_id = row.Text();
        rank.host = row.Text();
        rank.pid = static_cast<uint32_t>(row.Unsigned());
        rank.has_left = row.Int() != 0;
        rank.exit_code = row.Int();
        rank.signal = row.Int();
        rank.last_lines = row.Text();
      },
      run_id, generation));
  ASSIGN_OR_RETURN(group.leases, Leases(run_id, generation));
  RETURN_IF_ERROR(reader_->Query(
      "SELECT step, num_bytes, acknowledged FROM checkpoints WHERE "
      "run_id = ?1 AND generation = ?2",
      [&](DatabaseRow row) {
        CheckpointRecord& checkpoint = group.checkpoints.emplace_back();
        checkpoint.step = row.Unsigned();
        checkpoint.num_bytes = row.Unsigned();
        checkpoint.acknowledged = row.Int() != 0;
      },
      run_id, generation));
  RETURN_IF_ERROR(reader_->Query(
      "SELECT name, value FROM store_keys WHERE run_id = ?1 AND "
      "generation = ?2",
      [&](DatabaseRow row) {
        PutStoreKey& entry = group.keys.emplace_back();
        entry.key = row.Text();
        entry.value = row.Text();
      },
      run_id, generation));
  return group;
}

absl::StatusOr<RunRecord> RunDatabase::Run(const std::string& run_id) const {
  std::optional<RunRecord> record;
  RETURN_IF_ERROR(reader_->Query(
      absl::StrCat(kRunColumns, "WHERE run_id = ?1"),
      [&](DatabaseRow row) { record = RunOf(row); }, run_id));
  if (!record) {
    return absl::NotFoundError(absl::StrCat("no such run: ", run_id));
  }
  return *std::move(record);
}

absl::StatusOr<std::vector<RunRecord>> RunDatabase::Runs(v1::RunState state,
                                                         uint64_t before,
                                                         uint32_t limit) const {
  std::vector<RunRecord> runs;
  RETURN_IF_ERROR(reader_->Query(
      absl::StrCat(kRunColumns,
                   "WHERE number < ?1 AND (?2 = 0 OR state = ?2) "
                   "ORDER BY number DESC LIMIT ?3"),
      [&](DatabaseRow row) { runs.push_back(RunOf(row)); }, before,
      static_cast<int>(state), uint64_t{limit}));
  return runs;
}

absl::StatusOr<std::map<v1::RunState, uint64_t>> RunDatabase::CountByState()
    const {
  std::map<v1::RunState, uint64_t> counts;
  RETURN_IF_ERROR(reader_->Query(
      "SELECT state, COUNT(*) FROM runs GROUP BY state", [&](DatabaseRow row) {
        const auto state = static_cast<v1::RunState>(row.Int());
        counts[state] = row.Unsigned();
      }));
  return counts;
}

absl::StatusOr<std::optional<PutRequest>> RunDatabase::Request(
    const std::string& request_id) const {
  std::optional<PutRequest> request;
  RETURN_IF_ERROR(reader_->Query(
      "SELECT digest, run_id FROM requests WHERE request_id = ?1",
      [&](DatabaseRow row) {
        request.emplace();
        request->request_id = request_id;
        request->digest = row.Text();
        request->run_id = row.Text();
      },
      request_id));
  return request;
}

absl::StatusOr<std::vector<v1::RunEvent>> RunDatabase::Events(
    const std::string& run_id, uint64_t after, uint32_t limit) const {
  std::vector<v1::RunEvent> events;
  RETURN_IF_ERROR(reader_->Query(
      "SELECT event FROM events WHERE run_id = ?1 AND number > ?2 "
      "ORDER BY number LIMIT ?3",
      [&](DatabaseRow row) {
        events.emplace_back().ParseFromString(row.Text());
      },
      run_id, after, uint64_t{limit}));
  return events;
}

absl::StatusOr<std::vector<LedgerRow>> RunDatabase::Ledger(
    const std::string& run_id) const {
  std::vector<LedgerRow> rows;
  RETURN_IF_ERROR(reader_->Query(
      absl::StrCat(kLedgerColumns, "WHERE run_id = ?1", kByStep),
      [&](DatabaseRow row) { rows.push_back(LedgerRowOf(row)); }, run_id));
  return rows;
}

absl::StatusOr<std::vector<LedgerRow>> RunDatabase::LiveLedger(
    const std::string& run_id) const {
  std::vector<LedgerRow> rows;
  RETURN_IF_ERROR(reader_->Query(
      absl::StrCat(kLedgerColumns, "WHERE run_id = ?1", kIsLive, kByStep),
      [&](DatabaseRow row) { rows.push_back(LedgerRowOf(row)); }, run_id));
  return rows;
}

absl::StatusOr<std::vector<GenerationStart>> RunDatabase::Generations(
    const std::string& run_id) const {
  std::vector<GenerationStart> starts;
  RETURN_IF_ERROR(reader_->Query(
      "SELECT generation, incarnation, start_step, world_size FROM "
      "generations WHERE run_id = ?1 ORDER BY generation",
      [&](DatabaseRow row) {
        GenerationStart& start = starts.emplace_back();
        start.generation = row.Unsigned();
        start.incarnation = row.Unsigned();
        start.start_step = row.Unsigned();
        start.world_size = static_cast<uint32_t>(row.Unsigned());
      },
      run_id));
  return starts;
}

absl::StatusOr<std::vector<Lease>> RunDatabase::Leases(
    const std::string& run_id, uint64_t generation) const {
  std::vector<Lease> leases;
  RETURN_IF_ERROR(reader_->Query(
      kLeaseQuery, [&](DatabaseRow row) { leases.push_back(LeaseOf(row)); },
      run_id, generation));
  return leases;
}

}  // namespace varalign::coordinator
