#include "base/progress.h"

#include <stdio.h>
#include <unistd.h>

#include <cstdlib>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/synchronization/mutex.h"
#include "base/clock.h"
#include "base/logging.h"
#include "base/progress_line.h"
#include "base/string_view.h"

namespace varalign::base {
namespace {

// The environment is read here and not in main, as only here it is known that
// something may be drawn at all; it changes looks, never results.
ProgressScreen ScreenOfStandardError() {
  const char* terminal = std::getenv("TERM");
  const bool dumb = terminal == nullptr || std::string_view(terminal) == "dumb";
  return isatty(STDERR_FILENO) == 1 && !dumb && !std::getenv("NO_COLOR")
             ? ProgressScreen::kTerminal
             : ProgressScreen::kLog;
}

void Print(const std::string& text) {
  if (!text.empty()) fputs(text.c_str(), stderr);
}

}  // namespace

struct Progress::State {
  State(ProgressView start, Style wanted)
      : quiet(wanted == Style::kQuiet), view(std::move(start)), pace(screen) {}

  // The methods return the text to print, often none; the caller prints it
  // without the lock.
  std::string MoveBy(uint64_t done) ABSL_LOCKS_EXCLUDED(mutex) {
    absl::MutexLock lock(&mutex);
    view.done += done;
    return DueText();
  }

  std::string MoveTo(uint64_t done) ABSL_LOCKS_EXCLUDED(mutex) {
    absl::MutexLock lock(&mutex);
    view.done = done;
    return DueText();
  }

  // The line and what became of the work, for good.
  std::string End(std::string_view outcome) ABSL_LOCKS_EXCLUDED(mutex) {
    absl::MutexLock lock(&mutex);
    if (ended) return "";
    ended = true;
    view.elapsed = clock.MonotonicNow() - begin;
    if (quiet || !pace.DueAtEnd(view.elapsed)) return "";
    const absl::Duration whole = absl::Trunc(view.elapsed, absl::Seconds(1));
    return Text(absl::StrCat(ProgressLine(view), ", ", ToAbsl(outcome),
                             " after ", absl::FormatDuration(whole)),
                "\n");
  }

  std::string DueText() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex) {
    view.elapsed = clock.MonotonicNow() - begin;
    if (ended || quiet || !pace.Due(view.elapsed)) return "";
    const bool redraw = screen == ProgressScreen::kTerminal;
    return Text(ProgressLine(view), redraw ? "" : "\n");
  }

  std::string Text(const std::string& line, const char* end) const {
    if (screen == ProgressScreen::kLog) return absl::StrCat(line, end);
    // Back to the first column, and what a longer line left is erased.
    return absl::StrCat("\r", line, "\x1b[K", end);
  }

  const SystemClock clock;
  const bool quiet;
  const ProgressScreen screen = ScreenOfStandardError();
  const absl::Duration begin = clock.MonotonicNow();

  absl::Mutex mutex;
  ProgressView view ABSL_GUARDED_BY(mutex);
  ProgressPace pace ABSL_GUARDED_BY(mutex);
  bool ended ABSL_GUARDED_BY(mutex) = false;
};

Progress::Progress(std::string activity, std::string unit, uint64_t total,
                   Style style)
    : state_(std::make_unique<State>(
          ProgressView{.activity = StripControl(activity),
                       .unit = std::move(unit),
                       .done = 0,
                       .total = total,
                       .elapsed = {}},
          style)) {}

Progress::~Progress() { Print(state_->End("stopped")); }

void Progress::Advance(uint64_t done) { Print(state_->MoveBy(done)); }

void Progress::Update(uint64_t done) { Print(state_->MoveTo(done)); }

void Progress::Finish() { Print(state_->End("done")); }

}  // namespace varalign::base
