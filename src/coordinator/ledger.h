// The ledger: which rows each step counted.
//
// A generation that starts at step s supersedes the rows of older generations
// with step >= s. The live ledger is what is left: every step of the run once,
// with Z-blocks that follow one another within an epoch.
#ifndef VARALIGN_COORDINATOR_LEDGER_H_
#define VARALIGN_COORDINATOR_LEDGER_H_

#include <cstdint>

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

}  // namespace varalign::coordinator

#endif  // VARALIGN_COORDINATOR_LEDGER_H_
