// The one way in which a varalign program serves gRPC: limits, keepalive,
// health service, one owner per port, drain.
//
//   ASSIGN_OR_RETURN(auto server, GrpcServer::Start(options, {&run_service}));
//   RETURN_IF_ERROR(AnnounceAddress(server->address(), address_file));
//   ... wait for a signal ...
//   server->Shutdown(absl::Seconds(5));
#ifndef VARALIGN_RPC_GRPC_SERVER_H_
#define VARALIGN_RPC_GRPC_SERVER_H_

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <functional>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "base/host_port.h"
#include "grpcpp/impl/service_type.h"
#include "grpcpp/server.h"
#include "rpc/keepalive.h"

namespace varalign::rpc {

// One finished call. `method` is "/package.Service/Method", which came from our
// own protos (a call of an unknown method is not observed).
struct CallRecord {
  std::string_view method;
  absl::StatusCode code = absl::StatusCode::kOk;
  absl::Duration duration = absl::ZeroDuration();
};

struct ServerOptions {
  std::string listen = "127.0.0.1:0";  // port 0: any free port
  base::Exposure exposure = base::Exposure::kLoopbackOnly;
  size_t max_message_bytes = kControlMessageBytes;
  int max_concurrent_streams = 128;  // per connection
  size_t memory_quota_bytes = size_t{1} << 30;
  // Called after every call, from gRPC's threads; must not block. Null: no one.
  std::function<void(const CallRecord&)> on_call = nullptr;
};

// Owns the server, not the services. Thread safe. The destructor shuts down
// with no patience if Shutdown was not called.
class GrpcServer {
 public:
  // `services` outlive the server.
  //
  //   InvalidArgument     options.listen is not HOST:PORT
  //   FailedPrecondition  off loopback without options.exposure
  //   Unavailable         (exit code 69) the port is taken or the address is
  //                       not of this host
  static absl::StatusOr<std::unique_ptr<GrpcServer>> Start(
      const ServerOptions& options,
      const std::vector<grpc::Service*>& services);
  GrpcServer(const GrpcServer&) = delete;
  GrpcServer& operator=(const GrpcServer&) = delete;
  ~GrpcServer();

  // "127.0.0.1:43117": the host that was asked for and the port that serves.
  const std::string& address() const { return address_; }

  // What the health service answers, for every name; true after Start.
  void SetServing(bool serving);

  // Health NOT_SERVING, no new calls, up to `grace` for those that run, then
  // cancels them. Blocks until all handlers have returned. Idempotent.
  void Shutdown(absl::Duration grace);

 private:
  GrpcServer(std::string address, std::unique_ptr<grpc::Server> server);

  const std::string address_;
  const std::unique_ptr<grpc::Server> server_;
};

// Prints "listening on HOST:PORT" on standard output, then writes the address
// and a newline to `address_file` atomically, unless that is empty.
absl::Status AnnounceAddress(std::string_view address,
                             const std::filesystem::path& address_file);

}  // namespace varalign::rpc

#endif  // VARALIGN_RPC_GRPC_SERVER_H_
