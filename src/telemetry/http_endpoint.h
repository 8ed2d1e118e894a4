// The HTTP port of a program, for Prometheus and for health checks:
//
//   GET /metrics   200, the text exposition format
//   GET /healthz   200 "ok", or 503 with the reason
//   else           404; a method other than GET or HEAD: 405
//
// Plain HTTP without authentication, hence loopback unless told otherwise; TLS
// and users belong to a proxy in front.
#ifndef VARALIGN_TELEMETRY_HTTP_ENDPOINT_H_
#define VARALIGN_TELEMETRY_HTTP_ENDPOINT_H_

#include <functional>
#include <memory>
#include <string>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "base/host_port.h"
#include "telemetry/metrics.h"

namespace varalign::telemetry {

// Ok while the program can do its work. Called from the endpoint's threads;
// must not block.
using HealthCheck = std::function<absl::Status()>;

struct HttpOptions {
  std::string listen = "127.0.0.1:0";  // port 0: any free port
  base::Exposure exposure = base::Exposure::kLoopbackOnly;
};

// Owns two threads. Thread safe. The destructor waits for requests that run.
class HttpEndpoint {
 public:
  struct State;  // of http_endpoint.cc

  // `registry` and what `health` refers to outlive the endpoint.
  //
  //   InvalidArgument     options.listen is not HOST:PORT
  //   FailedPrecondition  off loopback without options.exposure
  //   Unavailable         (exit code 69) the port is taken or the address is
  //                       not of this host
  static absl::StatusOr<std::unique_ptr<HttpEndpoint>> Start(
      const HttpOptions& options, const Registry& registry, HealthCheck health);
  HttpEndpoint(const HttpEndpoint&) = delete;
  HttpEndpoint& operator=(const HttpEndpoint&) = delete;
  ~HttpEndpoint();

  // "127.0.0.1:9100": the host that was asked for and the port that serves.
  const std::string& address() const;

 private:
  explicit HttpEndpoint(std::unique_ptr<State> state);

  const std::unique_ptr<State> state_;
};

}  // namespace varalign::telemetry

#endif  // VARALIGN_TELEMETRY_HTTP_ENDPOINT_H_
