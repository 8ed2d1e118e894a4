// Runs as text for people. Pure; no terminal escapes but those asked for.
#ifndef VARALIGN_CLI_RUN_TEXT_H_
#define VARALIGN_CLI_RUN_TEXT_H_

#include <cstddef>
#include <string>
#include <string_view>

#include "absl/time/time.h"
#include "varalign/v1/coordinator.pb.h"

namespace varalign::cli {

// "r-3f2a  helpful-1b  RUNNING  step 120/400  2026-01-02 03:04".
std::string RunLine(const v1::Run& run);

// "worker node1-7 on node1: rank 0 of r-3f2a, http://127.0.0.1:9901/metrics".
std::string SlotLine(const v1::SlotStatus& slot);

// "loss 231.4000 (2.3140 a token)". The loss of a step adds up the tokens of a
// response, so that it is a large number where all is well: its mean over the
// tokens is told beside it where every row has a loss, else what it is of.
// `objective` resolved.
std::string LossText(const v1::StepReport& step,
                     const v1::Objective& objective);

// One line for an event; empty for those that only move a bar. A progress event
// that counts nothing is one that tells what is waited for.
std::string EventLine(const v1::RunEvent& event,
                      const v1::Objective& objective);

// Commands that may follow a run; empty: none to be named.
struct NextCommands {
  std::string resume;  // goes on with this one
  std::string other;   // trains another one like it
};

// What is to be known of a run that has ended: held-out reward before and
// after, distance to the optimum where it is known, weights, speed, where the
// checkpoint lies, what to try next. Several lines. A run that stopped at bad
// data or a bad configuration is not told to go on: it would stop again.
std::string RunSummary(const v1::Run& run, const NextCommands& next);

// Each line of `text` cut to `columns`, for lines that are erased by their
// count. 0: the width is not known, nothing is cut.
std::string ClipLines(std::string_view text, size_t columns);

// What the step learnt from: "weights: ess 0.61  max 2.10", or of pairs "pairs:
// right 0.75  margin 0.12  chosen +0.05  rejected -0.07".
std::string LearningText(const v1::StepReport& step);

// "tokens/s 1234 (65 % computed)": those of the rows, each with its prompt, and
// the share that was computed, since a prompt is shared by its responses.
std::string TokenRateText(const v1::StepReport& step);

// "1 h 2 m", "3 m 20 s", "4.2 s".
std::string DurationText(absl::Duration duration);

}  // namespace varalign::cli

#endif  // VARALIGN_CLI_RUN_TEXT_H_
