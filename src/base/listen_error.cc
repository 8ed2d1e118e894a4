#include "base/listen_error.h"

#include <netdb.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <string>

#include "absl/cleanup/cleanup.h"
#include "absl/strings/str_cat.h"
#include "base/exit_code.h"

namespace varalign::base {
namespace {

// The errno of binding and listening on `candidate`; 0 if that works.
int TryToListen(const addrinfo& candidate) {
  const int descriptor = socket(candidate.ai_family, SOCK_STREAM, 0);
  if (descriptor < 0) return errno;
  const absl::Cleanup close_descriptor = [descriptor] { close(descriptor); };
  // As servers do: a port whose old connections are in TIME_WAIT is free.
  const int on = 1;
  setsockopt(descriptor, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on));
  if (bind(descriptor, candidate.ai_addr, candidate.ai_addrlen) != 0 ||
      listen(descriptor, 1) != 0) {
    return errno;
  }
  return 0;
}

std::string Reason(const HostPort& address) {
  addrinfo hints = {};
  hints.ai_socktype = SOCK_STREAM;
  hints.ai_flags = AI_PASSIVE;
  addrinfo* candidates = nullptr;
  const int failure =
      getaddrinfo(address.host.c_str(), absl::StrCat(address.port).c_str(),
                  &hints, &candidates);
  if (failure != 0) return absl::StrCat("host: ", gai_strerror(failure));
  const absl::Cleanup free_list = [candidates] { freeaddrinfo(candidates); };

  for (const addrinfo* each = candidates; each != nullptr;
       each = each->ai_next) {
    switch (const int error = TryToListen(*each)) {
      case 0:
        continue;
      case EADDRINUSE:
        return "address in use; choose another port or 0";
      case EADDRNOTAVAIL:
        return "not an address of this host";
      case EACCES:
        return "permission denied; choose a port above 1023 or 0";
      default:
        return std::strerror(error);
    }
  }
  return "refused a moment ago; try again";
}

}  // namespace

absl::Status ListenError(const HostPort& address) {
  return WithExitCode(
      absl::UnavailableError(absl::StrCat(
          "cannot listen on ", address.ToString(), ": ", Reason(address))),
      kExitUnavailable);
}

}  // namespace varalign::base
