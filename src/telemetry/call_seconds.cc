#include "telemetry/call_seconds.h"

namespace varalign::telemetry {
namespace {

constexpr std::string_view kPackage = "/varalign.v1.";

}  // namespace

CallSeconds::CallSeconds(Registry& registry)
    : calls_(registry.AddHistogram(
          {"varalign_grpc_server_call_duration_seconds",
           "Time from the arrival of a call to its status; code: gRPC's.",
           {{"method"}, {"code"}}},
          RpcSecondsBuckets())) {}

void CallSeconds::Observe(std::string_view method, absl::StatusCode code,
                          absl::Duration duration) {
  if (method.starts_with(kPackage)) method.remove_prefix(kPackage.size());
  calls_.With({method, absl::StatusCodeToString(code)})
      .Observe(absl::ToDoubleSeconds(duration));
}

}  // namespace varalign::telemetry
