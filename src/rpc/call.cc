#include "rpc/call.h"

#include "grpc/support/time.h"

namespace varalign::rpc {

void SetDeadline(grpc::ClientContext& context, absl::Duration timeout) {
  // Monotonic, so that a step of the wall clock ends no call.
  context.set_deadline(gpr_time_add(
      gpr_now(GPR_CLOCK_MONOTONIC),
      gpr_time_from_millis(absl::ToInt64Milliseconds(timeout), GPR_TIMESPAN)));
}

}  // namespace varalign::rpc
