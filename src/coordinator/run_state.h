// The states of a run and the changes between them (docs/protocol.md has the
// same table). Pure.
//
//   from \ to    QUEUED PREPARING RUNNING SUCCEEDED FAILED CANCELLED
//   (new)          x
//   QUEUED                  x                                  x
//   PREPARING      x                 x                x        x
//   RUNNING                                    x      x        x
//   SUCCEEDED
//   FAILED         x
//   CANCELLED      x
#ifndef VARALIGN_COORDINATOR_RUN_STATE_H_
#define VARALIGN_COORDINATOR_RUN_STATE_H_

#include <string_view>

#include "absl/status/status.h"
#include "varalign/v1/coordinator.pb.h"

namespace varalign::coordinator {

// RUN_STATE_UNSPECIFIED as `from` is a run that does not exist yet.
bool IsAllowed(v1::RunState from, v1::RunState to);

// SUCCEEDED, FAILED or CANCELLED.
bool HasEnded(v1::RunState state);

// A group stands: PREPARING or RUNNING.
bool IsActive(v1::RunState state);

// FAILED and CANCELLED runs may be resumed.
bool IsResumable(v1::RunState state);

// "queued": the word of metrics and of files.
std::string_view StateWord(v1::RunState state);

}  // namespace varalign::coordinator

#endif  // VARALIGN_COORDINATOR_RUN_STATE_H_
