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
  // `clock` outlives it: how often lines come, and when the run will be done.
  RunFollower(std::string name, uint64_t total_steps, Output output,
              const base::Clock& clock);
  ~RunFollower();

  void Show(const v1::RunEvent& event);

 private:
  // With rate and time left where the progress has a total.
  std::string ProgressText(const v1::ProgressEvent& progress);
  void ShowPlain(const v1::RunEvent& event);
  void ShowCounted(const v1::ProgressEvent& progress);
  void Remember(const v1::RunEvent& event);
  // False: a line came less than `interval` ago.
  bool IsDue(absl::Duration interval) const;
  void Redraw();
  void EraseDrawn();
  std::string StatusLines() const;

  const std::string name_;
  const uint64_t total_steps_;
  const Output output_;
  const base::Clock& clock_;
  std::optional<absl::Duration> last_line_;  // when; none: the next is due
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
