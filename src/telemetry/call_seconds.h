// How long the calls of a gRPC server take: one family for all servers.
#ifndef VARALIGN_TELEMETRY_CALL_SECONDS_H_
#define VARALIGN_TELEMETRY_CALL_SECONDS_H_

#include <string_view>

#include "absl/status/status.h"
#include "absl/time/time.h"
#include "telemetry/metrics.h"

namespace varalign::telemetry {

// Thread safe; never blocks. `registry` outlives it.
class CallSeconds {
 public:
  explicit CallSeconds(Registry& registry);

  // A call that has ended. `method` as gRPC names it, of our own protos:
  // "/varalign.v1.RunService/GetRun" is counted as "RunService/GetRun".
  void Observe(std::string_view method, absl::StatusCode code,
               absl::Duration duration);

 private:
  Family<Histogram>& calls_;
};

}  // namespace varalign::telemetry

#endif  // VARALIGN_TELEMETRY_CALL_SECONDS_H_
