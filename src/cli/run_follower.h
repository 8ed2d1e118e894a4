// Shows a run while it goes on: on a terminal a few lines that are redrawn,
// elsewhere plain lines, with --json one object a line on standard output.
#ifndef VARALIGN_CLI_RUN_FOLLOWER_H_
#define VARALIGN_CLI_RUN_FOLLOWER_H_

#include <cstdint>
#include <optional>
#include <string>

#include "absl/time/time.h"
#include "base/clock.h"
#include "base/progress.h"
#include "varalign/v1/coordinator.pb.h"

namespace varalign::cli {

enum class Output { kTerminal, kPlain, kJsonLines, kSilent };

// kTerminal where standard error is a terminal that takes redrawing.
Output OutputOn(base::ProgressScreen standard_error);

// Takes the events of one run in order. Not thread safe.
class RunFollower {
 public:
  // Of `run`: its name, steps, objective and evaluations so far. `clock`
  // outlives it: how often lines come, and when the run will be done. People
  // are not shown events from before `live_from`: they are what a run that goes
  // on has behind it.
  RunFollower(const v1::Run& run, Output output, const base::Clock& clock,
              absl::Time live_from = absl::InfinitePast());
  ~RunFollower();

  void Show(const v1::RunEvent& event);

 private:
  // With rate and time left where the progress has a total.
  std::string ProgressText(const v1::ProgressEvent& progress);
  bool IsHistory(const v1::RunEvent& event) const;
  void ShowPlain(const v1::RunEvent& event);
  void ShowStep(const v1::RunEvent& event);
  void ShowCounted(const v1::ProgressEvent& progress);
  void Remember(const v1::RunEvent& event);
  // False: less than `interval` has gone by since `last`.
  bool IsDue(const std::optional<absl::Duration>& last,
             absl::Duration interval) const;
  void Redraw();
  void EraseDrawn();
  std::string StatusLines() const;
  std::string StepText() const;
  std::string RewardText() const;

  const std::string name_;
  const uint64_t total_steps_;
  const v1::Objective objective_;
  const Output output_;
  const base::Clock& clock_;
  const absl::Time live_from_;
  // When the last of each kind was shown; none: the next is due.
  std::optional<absl::Duration> last_drawn_, last_step_line_, last_count_line_;
  // The newest step that plain lines have not told.
  std::optional<v1::RunEvent> untold_step_;
  // Held-out rows: before the first step, and last.
  std::optional<v1::EvaluationReport> first_evaluation_, evaluation_;
  int drawn_lines_ = 0;
  uint64_t first_step_ = 0;
  std::optional<absl::Duration> first_step_at_;
  v1::StepReport step_;
  v1::StateChange state_;
  std::string progress_;  // what is being done, until the next step
  // Of the counted activity under way: what was done when it was first seen.
  struct Counting {
    std::string activity;
    uint64_t first_done = 0;
    uint64_t last_done = 0;
    absl::Duration since;
  };
  Counting counting_;
  std::string last_event_;
  std::string last_progress_;  // of plain lines
};

}  // namespace varalign::cli

#endif  // VARALIGN_CLI_RUN_FOLLOWER_H_
