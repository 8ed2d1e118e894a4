// SIGTERM, SIGINT and, unless it is ignored, SIGHUP as requests to stop, in
// every program of the project.
#ifndef VARALIGN_BASE_STOP_SIGNAL_H_
#define VARALIGN_BASE_STOP_SIGNAL_H_

#include <limits>
#include <string_view>

#include "absl/status/status.h"
#include "absl/time/time.h"

namespace varalign::base {

inline constexpr int kAnyNumber = std::numeric_limits<int>::max();

// From now on the first `requests` signals are counted and no more; the next
// one ends the process at once, with 128 + its number. A later call changes
// `requests` and forgets nothing. From main, before other threads start.
void CatchStopSignals(int requests);

// Any thread, from here on.
int StopSignalCount();
// The first that came; 0: none.
int FirstStopSignal();
// Cancelled, with the exit code of a program that the first one ended: 128 +
// its number. REQUIRES: one came.
absl::Status InterruptedStatus(std::string_view message);

// Waits up to `timeout` for the first one; true once it came. One thread.
// REQUIRES: after CatchStopSignals.
bool AwaitStopSignal(absl::Duration timeout);

}  // namespace varalign::base

#endif  // VARALIGN_BASE_STOP_SIGNAL_H_
