#include "base/progress.h"

#include <stdio.h>
#include <unistd.h>

#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/synchronization/mutex.h"
#include "base/clock.h"
#include "base/logging.h"
#include "base/string_view.h"

namespace varalign::base {
namespace {

void Print(const std::string& text) {
  if (!text.empty()) fputs(text.c_str(), stderr);
}

ProgressView Beginning(const std::string& activity, std::string unit,
                       uint64_t total) {
  return {.activity = StripControl(activity),
          .unit = std::move(unit),
          .done = 0,
          .total = total,
          .elapsed = {}};
}

ProgressScreen ScreenOf(int descriptor, const char* term,
                        const char* no_color) {
  const bool dumb = term == nullptr || std::string_view(term) == "dumb";
  return isatty(descriptor) == 1 && !dumb && no_color == nullptr
             ? ProgressScreen::kTerminal
             : ProgressScreen::kLog;
}

}  // namespace

ProgressScreen ScreenOfStandardError(const char* term, const char* no_color) {
  return ScreenOf(STDERR_FILENO, term, no_color);
}

ProgressScreen ScreenOfStandardOutput(const char* term, const char* no_color) {
  return ScreenOf(STDOUT_FILENO, term, no_color);
}

struct Progress::State {
  // `given` null: the system's clock.
  State(ProgressView start, ProgressScreen on, const Clock* given)
      : clock(given != nullptr ? *given : system),
        screen(on),
        view(std::move(start)),
        pace(screen) {}

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
    if (!pace.DueAtEnd(view.elapsed)) return "";
    const absl::Duration whole = absl::Trunc(view.elapsed, absl::Seconds(1));
    return Text(absl::StrCat(ProgressLine(view), ", ", ToAbsl(outcome),
                             " after ", absl::FormatDuration(whole)),
                "\n");
  }

  std::string DueText() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex) {
    view.elapsed = clock.MonotonicNow() - begin;
    if (ended || !pace.Due(view.elapsed)) return "";
    const bool redraw = screen == ProgressScreen::kTerminal;
    return Text(ProgressLine(view), redraw ? "" : "\n");
  }

  std::string Text(const std::string& line, const char* end) const {
    if (screen == ProgressScreen::kLog) return absl::StrCat(line, end);
    // Back to the first column, and what a longer line left is erased.
    return absl::StrCat("\r", line, "\x1b[K", end);
  }

  const SystemClock system;
  const Clock& clock;
  const ProgressScreen screen;
  const absl::Duration begin = clock.MonotonicNow();

  absl::Mutex mutex;
  ProgressView view ABSL_GUARDED_BY(mutex);
  ProgressPace pace ABSL_GUARDED_BY(mutex);
  bool ended ABSL_GUARDED_BY(mutex) = false;
};

Progress::Progress(std::string activity, std::string unit, uint64_t total,
                   ProgressScreen screen)
    : state_(std::make_unique<State>(
          Beginning(activity, std::move(unit), total), screen, nullptr)) {}

Progress::Progress(std::string activity, std::string unit, uint64_t total,
                   ProgressScreen screen, const Clock& clock)
    : state_(std::make_unique<State>(
          Beginning(activity, std::move(unit), total), screen, &clock)) {}

Progress::~Progress() { Print(state_->End("stopped")); }

void Progress::Advance(uint64_t done) { Print(state_->MoveBy(done)); }

void Progress::Update(uint64_t done) { Print(state_->MoveTo(done)); }

void Progress::Finish() { Print(state_->End("done")); }

}  // namespace varalign::base
