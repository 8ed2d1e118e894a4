// Runs as text for people. Pure; no terminal escapes but those asked for.
#ifndef VARALIGN_CLI_RUN_TEXT_H_
#define VARALIGN_CLI_RUN_TEXT_H_

#include <string>

#include "absl/time/time.h"
#include "varalign/v1/coordinator.pb.h"

namespace varalign::cli {

// "r-3f2a  helpful-1b  RUNNING  step 120/400  2026-01-02 03:04".
std::string RunLine(const v1::Run& run);

// One line for an event; empty for those that only move a bar.
std::string EventLine(const v1::RunEvent& event);

// What is to be known of a run that has ended: held-out reward before and
// after, distance to the optimum where it is known, weights, speed, where the
// checkpoint lies, what to try next. Several lines.
std::string RunSummary(const v1::Run& run);

// "tokens/s 1234 (65 % computed)": those of the rows, each with its prompt, and
// the share that was computed, since a prompt is shared by its responses.
std::string TokenRateText(const v1::StepReport& step);

// "1 h 2 m", "3 m 20 s", "4.2 s".
std::string DurationText(absl::Duration duration);

}  // namespace varalign::cli

#endif  // VARALIGN_CLI_RUN_TEXT_H_
