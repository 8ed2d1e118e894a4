// Progress of long work on standard error: on a terminal a bar with rate and
// ETA, redrawn at most ten times a second; elsewhere one plain line every 30 s
// and one at the end. Nothing is printed for work under two seconds.
#ifndef VARALIGN_BASE_PROGRESS_H_
#define VARALIGN_BASE_PROGRESS_H_

#include <cstdint>
#include <memory>
#include <string>

#include "base/clock.h"
#include "base/progress_line.h"

namespace varalign::base {

// What standard error, or output, is in a program whose environment says TERM
// and NO_COLOR (null where unset; main reads them): a terminal that takes
// colours and redrawing, or a log.
ProgressScreen ScreenOfStandardError(const char* term, const char* no_color);
ProgressScreen ScreenOfStandardOutput(const char* term, const char* no_color);

// Thread safe.
class Progress {
 public:
  // `unit` is what is counted, in the plural: "rows", "bytes" (shown as MiB).
  // `total` 0: unknown.
  Progress(std::string activity, std::string unit, uint64_t total,
           ProgressScreen screen);
  // `clock` outlives the progress.
  Progress(std::string activity, std::string unit, uint64_t total,
           ProgressScreen screen, const Clock& clock);
  // Ends the line; without Finish it says that the work stopped.
  ~Progress();
  Progress(const Progress&) = delete;

  void Advance(uint64_t done);  // adds
  void Update(uint64_t done);   // sets
  void Finish();

 private:
  struct State;
  std::unique_ptr<State> state_;
};

}  // namespace varalign::base

#endif  // VARALIGN_BASE_PROGRESS_H_
