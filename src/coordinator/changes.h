// What the coordinator remembers, and the changes to it. A decision yields
// changes; nothing else alters the database.
#ifndef VARALIGN_COORDINATOR_CHANGES_H_
#define VARALIGN_COORDINATOR_CHANGES_H_

#include <cstdint>
#include <optional>
#include <string>
#include <variant>
#include <vector>

#include "absl/time/time.h"
#include "coordinator/fencing.h"
#include "coordinator/lease.h"
#include "coordinator/ledger.h"
#include "varalign/v1/coordinator.pb.h"

namespace varalign::coordinator {

// An instant on both clocks: `monotonic` for limits, `wall` to be shown.
struct Now {
  absl::Duration monotonic;
  absl::Time wall;
};

struct RunRecord {
  v1::Run run;
  uint64_t number = 0;  // order of submission or resumption, from 1
  Token token;          // of the newest generation
  uint64_t num_events = 0;
  bool cancel_requested = false;
  // Of the newest generation: one of its ranks is known to have left, hence it
  // can do no step any more.
  bool group_has_ended = true;
  // Longest validity among its leases that have steps to be done.
  absl::Duration lease_validity;
};

struct RankRecord {
  uint32_t rank = 0;
  std::string slot_id;
  std::string host;
  uint32_t pid = 0;  // 0: not started yet
  // How it left, once that was reported.
  bool has_left = false;
  int32_t exit_code = 0;
  int32_t signal = 0;
  std::string last_lines = {};
};

struct CheckpointRecord {
  uint64_t step = 0;
  uint64_t num_bytes = 0;
  bool acknowledged = false;  // else granted only
};

struct PutRun {
  RunRecord record;
};
struct PutRequest {
  std::string request_id;
  std::string digest;  // SHA-256 of what was asked for
  std::string run_id;
};
struct AddEvent {
  std::string run_id;
  v1::RunEvent event;
};
struct AddLedgerRow {
  std::string run_id;
  LedgerRow row;
};
struct AddGeneration {
  std::string run_id;
  GenerationStart start;
};
struct PutRank {
  std::string run_id;
  uint64_t generation = 0;
  RankRecord rank;
};
struct AddLease {
  std::string run_id;
  uint64_t generation = 0;
  Lease lease;
};
struct PutCheckpoint {
  std::string run_id;
  uint64_t generation = 0;
  CheckpointRecord checkpoint;
};
struct PutStoreKey {
  std::string run_id;
  uint64_t generation = 0;
  std::string key;
  std::string value;
};
// A rank of a generation that was given up has left after all.
struct MarkGroupEnded {
  std::string run_id;
  uint64_t generation = 0;
};

using Change =
    std::variant<PutRun, PutRequest, AddEvent, AddLedgerRow, AddGeneration,
                 PutRank, AddLease, PutCheckpoint, PutStoreKey, MarkGroupEnded>;
using Changes = std::vector<Change>;

// What a restarted coordinator goes on from.
struct StoredGroup {
  std::vector<RankRecord> ranks;
  std::vector<Lease> leases;
  std::vector<CheckpointRecord> checkpoints;
  std::vector<PutStoreKey> keys;
};
struct StoredState {
  uint64_t incarnation = 0;     // this one's, already raised
  uint64_t next_number = 1;     // of the next run
  std::vector<RunRecord> runs;  // not ended, by number
  StoredGroup group;            // of the run that is active, if one is
};

}  // namespace varalign::coordinator

#endif  // VARALIGN_COORDINATOR_CHANGES_H_
