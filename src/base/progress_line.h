// What Progress prints and when; pure, for progress.cc and its test.
#ifndef VARALIGN_BASE_PROGRESS_LINE_H_
#define VARALIGN_BASE_PROGRESS_LINE_H_

#include <cstdint>
#include <optional>
#include <string>

#include "absl/time/time.h"

namespace varalign::base {

struct ProgressView {
  std::string activity;
  std::string unit;
  uint64_t done = 0;
  uint64_t total = 0;      // 0: unknown
  absl::Duration elapsed;  // since the work began
};

// "scoring 1200/4000 rows 30%, 85.2 rows/s, 33 s left". Without a total: no
// share and no time left.
std::string ProgressLine(const ProgressView& view);

enum class ProgressScreen { kTerminal, kLog, kNone };  // kNone: say nothing

// Decides when a line is due. Not thread safe.
class ProgressPace {
 public:
  explicit ProgressPace(ProgressScreen screen) : screen_(screen) {}

  // True if a line is due at `elapsed`, which must not fall; counts it as
  // printed. Never on kNone.
  bool Due(absl::Duration elapsed);
  // True if the work was long enough to be spoken of at its end.
  bool DueAtEnd(absl::Duration elapsed) const;

 private:
  const ProgressScreen screen_;
  std::optional<absl::Duration> last_;
};

}  // namespace varalign::base

#endif  // VARALIGN_BASE_PROGRESS_LINE_H_
