#include "coordinator/run_state.h"

namespace varalign::coordinator {

bool IsAllowed(v1::RunState from, v1::RunState to) {
  switch (from) {
    case v1::RUN_STATE_UNSPECIFIED:
      return to == v1::QUEUED;
    case v1::QUEUED:
      return to == v1::PREPARING || to == v1::CANCELLED;
    case v1::PREPARING:
      return to == v1::QUEUED || to == v1::RUNNING || to == v1::FAILED ||
             to == v1::CANCELLED;
    case v1::RUNNING:
      return HasEnded(to);
    case v1::FAILED:
    case v1::CANCELLED:
      return to == v1::QUEUED;
    default:
      return false;
  }
}

bool HasEnded(v1::RunState state) {
  return state == v1::SUCCEEDED || state == v1::FAILED ||
         state == v1::CANCELLED;
}

bool IsActive(v1::RunState state) {
  return state == v1::PREPARING || state == v1::RUNNING;
}

bool IsResumable(v1::RunState state) {
  return HasEnded(state) && IsAllowed(state, v1::QUEUED);
}

std::string_view StateWord(v1::RunState state) {
  switch (state) {
    case v1::QUEUED:
      return "queued";
    case v1::PREPARING:
      return "preparing";
    case v1::RUNNING:
      return "running";
    case v1::SUCCEEDED:
      return "succeeded";
    case v1::FAILED:
      return "failed";
    case v1::CANCELLED:
      return "cancelled";
    default:
      return "unspecified";
  }
}

}  // namespace varalign::coordinator
