#include "tests/coordinator/ledger_oracle.h"

#include <algorithm>

#include "absl/strings/str_cat.h"

namespace varalign::coordinator {
namespace {

bool IsSuperseded(const LedgerRow& row,
                  const std::vector<GenerationStart>& starts) {
  return std::any_of(starts.begin(), starts.end(),
                     [&row](const GenerationStart& start) {
                       return start.generation > row.generation &&
                              start.start_step <= row.step;
                     });
}

bool Follows(const LedgerRow& previous, const LedgerRow& next) {
  if (next.epoch == previous.epoch) {
    return next.block_begin == previous.block_end;
  }
  return next.epoch == previous.epoch + 1 && next.block_begin == 0;
}

}  // namespace

std::vector<LedgerRow> LiveRows(std::vector<LedgerRow> rows,
                                const std::vector<GenerationStart>& starts) {
  std::erase_if(rows, [&starts](const LedgerRow& row) {
    return IsSuperseded(row, starts);
  });
  std::sort(
      rows.begin(), rows.end(),
      [](const LedgerRow& a, const LedgerRow& b) { return a.step < b.step; });
  return rows;
}

absl::Status CheckLiveLedger(const std::vector<LedgerRow>& live,
                             uint64_t num_steps) {
  for (size_t i = 0; i < live.size(); ++i) {
    if (live[i].step != i) {
      return absl::DataLossError(absl::StrCat(
          "the ledger does not hold every step once: expected step ", i,
          ", found ", live[i].step));
    }
    const bool fits = i == 0 ? live[i].block_begin == 0 && live[i].epoch == 0
                             : Follows(live[i - 1], live[i]);
    if (!fits) {
      return absl::DataLossError(absl::StrCat(
          "the Z-blocks of this step do not follow those before: step ", i,
          ", epoch ", live[i].epoch, ", block ", live[i].block_begin));
    }
  }
  if (live.size() != num_steps) {
    return absl::DataLossError(
        absl::StrCat("the ledger does not hold every step: expected ",
                     num_steps, " steps, found ", live.size()));
  }
  return absl::OkStatus();
}

}  // namespace varalign::coordinator
