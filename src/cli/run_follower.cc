#include "cli/run_follower.h"

#include <sys/ioctl.h>
#include <unistd.h>

#include <cstdio>
#include <cstdlib>
#include <string_view>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "base/json.h"
#include "base/logging.h"
#include "base/progress_line.h"
#include "cli/run_service_client.h"
#include "cli/run_text.h"
#include "rpc/event_json.h"
#include "rpc/proto_time.h"

namespace varalign::cli {
namespace {

constexpr absl::Duration kRedrawInterval = absl::Milliseconds(100);
constexpr absl::Duration kPlainInterval = absl::Seconds(10);

// Of the terminal; 0: not known. Asked each time, as it may change.
size_t ScreenColumns() {
  winsize size = {};
  return ioctl(STDERR_FILENO, TIOCGWINSZ, &size) == 0 ? size.ws_col : 0;
}

bool IsFinalStep(const v1::StepReport& step, uint64_t total_steps) {
  return step.step() + 1 == total_steps;
}

}  // namespace

Output OutputOn(base::ProgressScreen standard_error) {
  return standard_error == base::ProgressScreen::kTerminal ? Output::kTerminal
                                                           : Output::kPlain;
}

RunFollower::RunFollower(const v1::Run& run, Output output,
                         const base::Clock& clock, absl::Time live_from)
    : name_(run.name()),
      total_steps_(run.total_steps()),
      objective_(run.config().objective()),
      output_(output),
      clock_(clock),
      live_from_(live_from) {
  if (run.evaluations_size() == 0) return;
  first_evaluation_ = run.evaluations(0);
  evaluation_ = run.evaluations(run.evaluations_size() - 1);
}

RunFollower::~RunFollower() { std::fflush(stderr); }

void RunFollower::Show(const v1::RunEvent& event) {
  switch (output_) {
    case Output::kSilent:
      return;
    case Output::kJsonLines:
      std::printf("%s\n", base::DumpJson(rpc::EventJson(event)).c_str());
      std::fflush(stdout);
      return;
    case Output::kPlain:
      if (!IsHistory(event)) ShowPlain(event);
      return;
    case Output::kTerminal:
      if (IsHistory(event)) return;
      Remember(event);
      Redraw();
      return;
  }
}

bool RunFollower::IsHistory(const v1::RunEvent& event) const {
  return event.has_time() && rpc::FromProto(event.time()) < live_from_;
}

std::string RunFollower::ProgressText(const v1::ProgressEvent& progress) {
  std::string activity = base::StripControl(progress.activity());
  if (progress.total() == 0) return activity;
  const absl::Duration now = clock_.MonotonicNow();
  // Another activity, or the same from its start, in a resumed run.
  if (activity != counting_.activity || progress.done() < counting_.last_done) {
    counting_ = {activity, progress.done(), progress.done(), now};
  }
  counting_.last_done = progress.done();
  // One may begin to watch in the middle: the pace is that of what was seen.
  const uint64_t seen = progress.done() - counting_.first_done;
  const absl::Duration elapsed =
      seen == 0
          ? absl::ZeroDuration()
          : (now - counting_.since) * (static_cast<double>(progress.done()) /
                                       static_cast<double>(seen));
  return base::ProgressLine({.activity = std::move(activity),
                             .unit = base::StripControl(progress.unit()),
                             .done = progress.done(),
                             .total = progress.total(),
                             .elapsed = elapsed});
}

void RunFollower::ShowCounted(const v1::ProgressEvent& progress) {
  const bool is_last = progress.done() == progress.total();
  const std::string text = ProgressText(progress);
  if (!IsDue(last_count_line_, kPlainInterval) && !is_last) return;
  last_count_line_ = clock_.MonotonicNow();
  std::fprintf(stderr, "%s\n", text.c_str());
}

// One at once, then one every ten seconds, and the last one; whatever else is
// told between them.
void RunFollower::ShowStep(const v1::RunEvent& event) {
  if (!IsDue(last_step_line_, kPlainInterval) &&
      !IsFinalStep(event.step(), total_steps_)) {
    untold_step_ = event;
    return;
  }
  untold_step_.reset();
  last_step_line_ = clock_.MonotonicNow();
  std::fprintf(stderr, "%s\n", EventLine(event, objective_).c_str());
}

void RunFollower::ShowPlain(const v1::RunEvent& event) {
  if (event.progress().total() > 0) return ShowCounted(event.progress());
  if (!event.has_progress()) last_progress_.clear();
  if (event.has_step()) return ShowStep(event);
  // A run may end before its last step.
  if (untold_step_ && event.has_state() && HasEnded(event.state().to())) {
    last_step_line_.reset();
    ShowStep(v1::RunEvent(*untold_step_));
  }
  const std::string line = EventLine(event, objective_);
  if (line.empty()) return;
  if (event.has_progress() && line == last_progress_) return;
  if (event.has_progress()) last_progress_ = line;
  std::fprintf(stderr, "%s\n", line.c_str());
}

bool RunFollower::IsDue(const std::optional<absl::Duration>& last,
                        absl::Duration interval) const {
  return !last || clock_.MonotonicNow() - *last >= interval;
}

void RunFollower::Remember(const v1::RunEvent& event) {
  if (event.has_step()) {
    if (!first_step_at_) {
      first_step_ = event.step().step();
      first_step_at_ = clock_.MonotonicNow();
    }
    step_ = event.step();
    progress_.clear();
    return;
  }
  if (event.has_progress()) {
    progress_ = ProgressText(event.progress());
    return;
  }
  if (event.has_state()) {
    state_ = event.state();
    progress_.clear();
  }
  if (event.has_evaluation()) {
    if (!first_evaluation_) first_evaluation_ = event.evaluation();
    evaluation_ = event.evaluation();
  }
  last_event_ = EventLine(event, objective_);
  // What people want to scroll back to stays above the redrawn lines.
  EraseDrawn();
  std::fprintf(stderr, "%s\n", last_event_.c_str());
  last_drawn_.reset();
}

std::string RunFollower::RewardText() const {
  if (!evaluation_) return "";
  std::string text =
      absl::StrFormat("  held-out reward %.4f", evaluation_->expected_reward());
  if (first_evaluation_->step() != evaluation_->step()) {
    absl::StrAppendFormat(&text, " (at first %.4f)",
                          first_evaluation_->expected_reward());
  }
  return text;
}

std::string RunFollower::StepText() const {
  const uint64_t done = step_.step() + 1;
  std::string text = absl::StrFormat("  step %d/%d", done, total_steps_);
  if (total_steps_ > 0) {
    absl::StrAppendFormat(&text, " (%d %%)", 100 * done / total_steps_);
  }
  const uint64_t timed = step_.step() - first_step_;
  if (timed > 0 && total_steps_ > done) {
    const absl::Duration each =
        (clock_.MonotonicNow() - *first_step_at_) / static_cast<int64_t>(timed);
    absl::StrAppend(
        &text, "  ETA ",
        DurationText(each * static_cast<int64_t>(total_steps_ - done)));
  }
  return text;
}

std::string RunFollower::StatusLines() const {
  std::string text =
      absl::StrCat("run ", name_, "  ", v1::RunState_Name(state_.to()));
  if (!progress_.empty()) absl::StrAppend(&text, "  ", progress_);
  if (first_step_at_) absl::StrAppend(&text, StepText());
  absl::StrAppend(&text, RewardText(), "\n");
  if (!first_step_at_) return text;
  absl::StrAppendFormat(&text, "%s  grad %.3g  lr %.3g   %s   %s\n",
                        LossText(step_, objective_), step_.grad_norm(),
                        step_.learning_rate(), LearningText(step_),
                        TokenRateText(step_));
  return text;
}

void RunFollower::EraseDrawn() {
  for (; drawn_lines_ > 0; --drawn_lines_) {
    std::fputs("\x1b[1A\x1b[2K", stderr);
  }
}

void RunFollower::Redraw() {
  if (!IsDue(last_drawn_, kRedrawInterval) &&
      !IsFinalStep(step_, total_steps_)) {
    return;
  }
  last_drawn_ = clock_.MonotonicNow();
  EraseDrawn();
  const std::string text = ClipLines(StatusLines(), ScreenColumns());
  for (const char c : text) drawn_lines_ += c == '\n' ? 1 : 0;
  std::fputs(text.c_str(), stderr);
  std::fflush(stderr);
}

}  // namespace varalign::cli
