// What the ledger of a run must be, written down a second time: the database
// finds the live ledger by a query, tests by these. Pure.
#ifndef VARALIGN_TESTS_COORDINATOR_LEDGER_ORACLE_H_
#define VARALIGN_TESTS_COORDINATOR_LEDGER_ORACLE_H_

#include <cstdint>
#include <vector>

#include "absl/status/status.h"
#include "coordinator/ledger.h"

namespace varalign::coordinator {

// The rows that no later generation supersedes, by step.
std::vector<LedgerRow> LiveRows(std::vector<LedgerRow> rows,
                                const std::vector<GenerationStart>& starts);

// Ok if `live` holds each of the steps 0 .. num_steps - 1 exactly once, and the
// Z-blocks of each epoch follow one another from 0 without gap or overlap.
// DataLoss names the first step at which that is not so.
absl::Status CheckLiveLedger(const std::vector<LedgerRow>& live,
                             uint64_t num_steps);

}  // namespace varalign::coordinator

#endif  // VARALIGN_TESTS_COORDINATOR_LEDGER_ORACLE_H_
