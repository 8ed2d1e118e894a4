// What a request may ask for; ServerInfo tells clients.
#ifndef VARALIGN_REWARD_SERVER_LIMITS_H_
#define VARALIGN_REWARD_SERVER_LIMITS_H_

#include <cstdint>

#include "absl/time/time.h"

namespace varalign::reward_server {

struct RequestLimits {
  uint32_t max_pairs = 16384;  // of one request or group
  // For a call or group that names no deadline.
  absl::Duration longest_wait = absl::Minutes(30);
};

}  // namespace varalign::reward_server

#endif  // VARALIGN_REWARD_SERVER_LIMITS_H_
