// Why nothing can listen on an address: server libraries do not say.
#ifndef VARALIGN_BASE_LISTEN_ERROR_H_
#define VARALIGN_BASE_LISTEN_ERROR_H_

#include "absl/status/status.h"
#include "base/host_port.h"

namespace varalign::base {

// Tries the address with a plain socket and returns what stood in the way, as
// Unavailable with exit code 69. Only for the message of a failure that has
// happened: by now the reason may be another.
absl::Status ListenError(const HostPort& address);

}  // namespace varalign::base

#endif  // VARALIGN_BASE_LISTEN_ERROR_H_
