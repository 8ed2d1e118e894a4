// Serves fakes of our services on a free port of this host.
#ifndef VARALIGN_TESTS_TESTING_LOOPBACK_SERVER_H_
#define VARALIGN_TESTS_TESTING_LOOPBACK_SERVER_H_

#include <memory>
#include <string>
#include <vector>

#include "absl/time/time.h"
#include "rpc/grpc_server.h"

namespace varalign::testing {

// Crashes where nothing can be served: no test could go on. The services
// outlive it.
class LoopbackServer {
 public:
  explicit LoopbackServer(const std::vector<grpc::Service*>& services)
      : server_(rpc::GrpcServer::Start({}, services).value()) {}

  const std::string& address() const { return server_->address(); }
  // Cancels what still runs.
  void Stop() { server_->Shutdown(absl::ZeroDuration()); }

 private:
  const std::unique_ptr<rpc::GrpcServer> server_;
};

// Where nobody listens.
inline std::string DeadAddress() { return "127.0.0.1:1"; }

}  // namespace varalign::testing

#endif  // VARALIGN_TESTS_TESTING_LOOPBACK_SERVER_H_
