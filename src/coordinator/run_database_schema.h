// Tables of the coordinator's database, format version 1.
#ifndef VARALIGN_COORDINATOR_RUN_DATABASE_SCHEMA_H_
#define VARALIGN_COORDINATOR_RUN_DATABASE_SCHEMA_H_

namespace varalign::coordinator {

inline constexpr int kSchemaVersion = 1;

inline constexpr char kSchema[] = R"sql(
CREATE TABLE coordinator (id TEXT NOT NULL, incarnation INTEGER NOT NULL);
CREATE TABLE runs (
  run_id TEXT PRIMARY KEY,
  number INTEGER NOT NULL UNIQUE,
  state INTEGER NOT NULL,
  incarnation INTEGER NOT NULL,
  generation INTEGER NOT NULL,
  num_events INTEGER NOT NULL,
  cancel_requested INTEGER NOT NULL,
  group_has_ended INTEGER NOT NULL,
  lease_validity_ms INTEGER NOT NULL,
  run BLOB NOT NULL);
CREATE INDEX runs_by_state ON runs (state, number);
CREATE TABLE requests (
  request_id TEXT PRIMARY KEY,
  digest TEXT NOT NULL,
  run_id TEXT NOT NULL) WITHOUT ROWID;
CREATE TABLE events (
  run_id TEXT NOT NULL,
  number INTEGER NOT NULL,
  event BLOB NOT NULL,
  PRIMARY KEY (run_id, number)) WITHOUT ROWID;
CREATE TABLE generations (
  run_id TEXT NOT NULL,
  generation INTEGER NOT NULL,
  incarnation INTEGER NOT NULL,
  start_step INTEGER NOT NULL,
  world_size INTEGER NOT NULL,
  PRIMARY KEY (run_id, generation)) WITHOUT ROWID;
CREATE TABLE ledger (
  run_id TEXT NOT NULL,
  step INTEGER NOT NULL,
  generation INTEGER NOT NULL,
  epoch INTEGER NOT NULL,
  block_begin INTEGER NOT NULL,
  block_end INTEGER NOT NULL,
  examples INTEGER NOT NULL,
  num_rows INTEGER NOT NULL,
  tokens INTEGER NOT NULL,
  skipped INTEGER NOT NULL,
  loss REAL,
  PRIMARY KEY (run_id, step, generation)) WITHOUT ROWID;
CREATE TABLE ranks (
  run_id TEXT NOT NULL,
  generation INTEGER NOT NULL,
  rank INTEGER NOT NULL,
  slot_id TEXT NOT NULL,
  host TEXT NOT NULL,
  pid INTEGER NOT NULL,
  has_left INTEGER NOT NULL,
  exit_code INTEGER NOT NULL,
  signal INTEGER NOT NULL,
  last_lines TEXT NOT NULL,
  PRIMARY KEY (run_id, generation, rank)) WITHOUT ROWID;
CREATE TABLE leases (
  run_id TEXT NOT NULL,
  generation INTEGER NOT NULL,
  first_step INTEGER NOT NULL,
  end_step INTEGER NOT NULL,
  and_then INTEGER NOT NULL,
  PRIMARY KEY (run_id, generation, first_step)) WITHOUT ROWID;
CREATE TABLE checkpoints (
  run_id TEXT NOT NULL,
  generation INTEGER NOT NULL,
  step INTEGER NOT NULL,
  num_bytes INTEGER NOT NULL,
  acknowledged INTEGER NOT NULL,
  PRIMARY KEY (run_id, generation, step)) WITHOUT ROWID;
CREATE TABLE store_keys (
  run_id TEXT NOT NULL,
  generation INTEGER NOT NULL,
  name TEXT NOT NULL,
  value BLOB NOT NULL,
  PRIMARY KEY (run_id, generation, name)) WITHOUT ROWID;
)sql";

}  // namespace varalign::coordinator

#endif  // VARALIGN_COORDINATOR_RUN_DATABASE_SCHEMA_H_
