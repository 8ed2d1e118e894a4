// The client's end of a connection.
#ifndef VARALIGN_RPC_CHANNEL_H_
#define VARALIGN_RPC_CHANNEL_H_

#include <cstddef>
#include <memory>
#include <string>
#include <string_view>

#include "absl/status/statusor.h"
#include "grpcpp/channel.h"
#include "rpc/keepalive.h"

namespace varalign::rpc {

struct ChannelOptions {
  Keepalive keepalive = kCoordinatorKeepalive;
  size_t max_message_bytes = kControlMessageBytes;
};

// For rows and scores.
inline constexpr ChannelOptions kScoreChannel = {kRewardKeepalive,
                                                 kScoreMessageBytes};

// Does not block and dials no one before the first call. Unary calls that end
// with UNAVAILABLE before the server answered are tried up to 4 times; a lost
// server is redialled after 0.1 s to 2 s. Proxies of the environment are not
// used.
//
//   InvalidArgument   `target` is not HOST:PORT
absl::StatusOr<std::shared_ptr<grpc::Channel>> MakeChannel(
    std::string_view target, const ChannelOptions& options = {});

}  // namespace varalign::rpc

#endif  // VARALIGN_RPC_CHANNEL_H_
