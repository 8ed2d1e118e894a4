// Keepalive has two sides: a server that does not permit what its clients send
// answers GOAWAY too_many_pings. Both sides take their numbers from here.
#ifndef VARALIGN_RPC_KEEPALIVE_H_
#define VARALIGN_RPC_KEEPALIVE_H_

#include <cstddef>

#include "absl/time/time.h"

namespace varalign::rpc {

// After `time` of silence the client pings; after another `timeout` without an
// answer it fails the calls of the connection with Unavailable.
struct Keepalive {
  absl::Duration time;
  absl::Duration timeout;
};

inline constexpr Keepalive kCoordinatorKeepalive = {absl::Seconds(5),
                                                    absl::Seconds(5)};
inline constexpr Keepalive kRewardKeepalive = {absl::Seconds(30),
                                               absl::Seconds(10)};
// For tests of silent peers.
inline constexpr Keepalive kFastKeepalive = {absl::Seconds(1),
                                             absl::Seconds(1)};

// What servers send to notice clients that are gone.
inline constexpr Keepalive kServerKeepalive = {absl::Seconds(30),
                                               absl::Seconds(10)};
// Servers take pings as often as this: below the smallest `time` above.
inline constexpr absl::Duration kMinPingInterval = absl::Milliseconds(500);

// Largest message, equal on both sides of a connection.
inline constexpr size_t kControlMessageBytes = size_t{1} << 20;
inline constexpr size_t kScoreMessageBytes = size_t{16} << 20;

}  // namespace varalign::rpc

#endif  // VARALIGN_RPC_KEEPALIVE_H_
