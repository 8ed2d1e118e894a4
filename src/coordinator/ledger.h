// The ledger: which rows each step counted, and the proof that every step of a
// run counts exactly once. Pure.
//
// A generation that starts at step s supersedes the rows of older generations
// with step >= s. The live ledger is what is left.
#ifndef VARALIGN_COORDINATOR_LEDGER_H_
#define VARALIGN_COORDINATOR_LEDGER_H_

#include <cstdint>
#include <vector>

#include "absl/status/status.h"

namespace varalign::coordinator {

struct LedgerRow {
  uint64_t step = 0;
  uint64_t generation = 0;
  uint64_t epoch = 0;
  // Positions of the epoch's order of Z-blocks, [begin, end).
  uint64_t block_begin = 0;
  uint64_t block_end = 0;
  uint64_t examples = 0;
  uint64_t rows = 0;
  uint64_t tokens = 0;
  bool skipped = false;  // an entry all the same, not a hole
  double loss = 0;

  friend bool operator==(const LedgerRow&, const LedgerRow&) = default;
};

struct GenerationStart {
  uint64_t generation = 0;
  uint64_t incarnation = 0;
  uint64_t start_step = 0;
  uint32_t world_size = 0;
};

// The rows that no later generation supersedes, by step.
std::vector<LedgerRow> LiveRows(std::vector<LedgerRow> rows,
                                const std::vector<GenerationStart>& starts);

// Ok if `live` holds each of the steps 0 .. num_steps - 1 exactly once, and the
// Z-blocks of each epoch follow one another from 0 without gap or overlap.
// DataLoss names the first step at which that is not so.
absl::Status CheckLiveLedger(const std::vector<LedgerRow>& live,
                             uint64_t num_steps);

}  // namespace varalign::coordinator

#endif  // VARALIGN_COORDINATOR_LEDGER_H_
